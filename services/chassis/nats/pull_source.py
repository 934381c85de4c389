"""A durable pull consumer that cannot fall silent.

The client library's own pull subscription loses its outstanding request when the server restarts, and messages that
arrive at the moment of a stop. Here requests are accounted for one by one (each has its own reply subject), carry
an idle heartbeat, and are renewed with a new inbox when the connection was renewed, when heartbeats stay away,
when the consumer was deleted, or when requests keep expiring empty while the consumer has messages for us.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import ConsumerConfig

from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EXPIRES = timedelta(seconds=30)
HEARTBEAT = timedelta(seconds=2)
_SILENT_HEARTBEATS = 3
_EMPTY_REQUESTS = 2
_REFUSED_REQUESTS = 3
_PENDING_BYTES = 256 * 1024 * 1024
_NANOSECONDS = 1_000_000_000


class RenewalDue(Exception):
    """The source can bring nothing more as it is; `cause` in one word. Only of sources whose owner renews them."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class PullSource:
    """Messages of one durable consumer, taken in the order in which the server sends them.

    What the server had sent to a subscription that is renewed comes again when its acknowledgement time is over, after
    later messages. Owners for whom that is too late renew the source themselves (`renews=False`), with the consumer.
    """

    def __init__(
        self,
        connection: NatsConnection,
        stream: str,
        config: ConsumerConfig,
        *,
        label: str,
        renews: bool = True,
        heartbeat: timedelta = HEARTBEAT,
        expires: timedelta = EXPIRES,
    ) -> None:
        self._connection = connection
        self._stream = connection.names.stream(stream)
        self._config = connection.names.consumer(config)
        self._label = label
        self._renews = renews
        self._heartbeat = heartbeat.total_seconds()
        self._expires = expires.total_seconds()
        self._buffer: deque[Msg] = deque()
        self._credits: dict[str, int] = {}
        """Reply subject of each open request -> messages it may still bring; oldest first."""
        self._changed = asyncio.Event()
        self._subscription: Subscription | None = None
        self._inbox = ""
        self._requests = 0
        self._generation = -1
        self._last_sign = 0.0
        self._empty_requests = 0
        self._refused_requests = 0
        self._pause_until = 0.0
        self.deleted = False
        """The server told that the consumer was deleted while we were pulling."""

    async def open(self, *, recreate: bool = False) -> None:
        """Makes the consumer (deleting an old one first when `recreate`) and subscribes. Raises errors of nats-py."""
        await self._unsubscribe()
        js = self._connection.js
        durable = self._config.durable_name or ""
        if recreate:
            self._buffer.clear()
            with suppress(nats.js.errors.NotFoundError):
                await js.delete_consumer(self._stream, durable)
        # A copy, since nats-py turns durations into nanoseconds in place.
        await js.add_consumer(self._stream, config=replace(self._config, name=durable))
        self._generation = self._connection.reconnects
        self._inbox = self._connection.nc.new_inbox()
        self._credits.clear()
        self._empty_requests = self._refused_requests = 0
        self.deleted = False
        self._subscription = await self._connection.nc.subscribe(
            f"{self._inbox}.*", cb=self._on_message, pending_bytes_limit=_PENDING_BYTES
        )
        self._sign()

    def still_open(self) -> Callable[[], bool]:
        """Tells whether the connection is the one over which messages come now."""
        generation = self._generation
        return lambda: generation == self._connection.reconnects

    @property
    def lost(self) -> bool:
        """Whether the connection was renewed since this source was opened."""
        return self._generation != self._connection.reconnects

    async def next(self, limit: int, timeout: timedelta) -> list[Msg]:
        """Up to `limit` messages as soon as there is one; none after `timeout`. Renews itself where it must, or raises
        RenewalDue."""
        if not self._buffer:
            await self._watch()
            await self._request(limit)
            self._changed.clear()
            if not self._buffer:
                try:
                    async with asyncio.timeout(timeout.total_seconds()):
                        await self._changed.wait()
                except TimeoutError:
                    return []
        elif len(self._buffer) < limit:
            await self._request(limit)
        return [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]

    def wake(self) -> None:
        """Makes a waiting `next` return."""
        self._changed.set()

    async def close(self) -> list[Msg]:
        """Stops pulling and returns what had arrived but was not taken."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None and self._connection.nc.is_connected:
            try:
                async with asyncio.timeout(2):
                    # Everything that the server sent before it saw our UNSUB is in the buffer after this.
                    await subscription.drain()
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("nats.consumer_drain_failed", consumer=self._label, error=repr(error))
        left = list(self._buffer)
        self._buffer.clear()
        return left

    async def _request(self, limit: int) -> None:
        missing = limit - len(self._buffer) - sum(self._credits.values())
        # One request for several freed places costs the server less than one for each.
        if missing <= 0 or (self._credits and missing < max(1, limit // 2)):
            return
        if asyncio.get_running_loop().time() < self._pause_until or not self._connection.nc.is_connected:
            return
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        body = {
            "batch": missing,
            "expires": int(self._expires * _NANOSECONDS),
            "idle_heartbeat": int(self._heartbeat * _NANOSECONDS),
        }
        if not self._credits:
            self._sign()
        self._credits[reply] = missing
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._config.durable_name}"
        await self._connection.nc.publish(subject, json.dumps(body).encode(), reply=reply)

    async def _on_message(self, message: Msg) -> None:
        self._sign()
        if message.reply.startswith("$JS.ACK."):
            self._empty_requests = self._refused_requests = 0
            self._buffer.append(message)
            for reply, credit in self._credits.items():
                if credit > 1:
                    self._credits[reply] = credit - 1
                else:
                    del self._credits[reply]
                break
        else:
            self._on_status(message.subject, message.headers or {})
        self._changed.set()

    def _on_status(self, reply: str, headers: dict[str, str]) -> None:
        status, description = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":
            return
        self._credits.pop(reply, None)
        if status == "408":
            self._empty_requests += 1
        elif status == "409" and "deleted" in description.lower():
            self.deleted = True
        else:
            # Nobody answers (JetStream is starting), or a limit of the consumer is reached: not at once again.
            self._pause_until = asyncio.get_running_loop().time() + 0.2
            self._refused_requests += 1
            log.debug("nats.pull_refused", consumer=self._label, status=status, description=description)

    async def _watch(self) -> None:
        cause = await self._cause_to_renew()
        if cause is None:
            return
        if cause != "start":
            log.warning("nats.consumer_renewed", consumer=self._label, cause=cause)
            metrics.RESUBSCRIBED.labels(consumer=self._label, cause=cause).inc()
        if not self._renews:
            raise RenewalDue(cause)
        await self.open()

    async def _cause_to_renew(self) -> str | None:
        if self._generation < 0:
            return "start"
        if self.lost:
            return "reconnect"
        if self.deleted:
            return "deleted"
        if self._subscription is None:
            return "unsubscribed"
        if self._credits and asyncio.get_running_loop().time() - self._last_sign > _SILENT_HEARTBEATS * self._heartbeat:
            return "silence"
        if self._refused_requests >= _REFUSED_REQUESTS:
            # Nobody may have been listening when the consumer was deleted.
            self._refused_requests = 0
            try:
                await self._connection.js.consumer_info(self._stream, self._config.durable_name or "")
            except nats.js.errors.NotFoundError:
                return "missing"
        if self._empty_requests >= _EMPTY_REQUESTS:
            self._empty_requests = 0
            info = await self._connection.js.consumer_info(self._stream, self._config.durable_name or "")
            room = (info.config.max_ack_pending or 1) > (info.num_ack_pending or 0)
            if info.num_pending and room:
                return "stalled"
        return None

    async def _unsubscribe(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not self._connection.nc.is_closed:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                log.debug("nats.unsubscribe_failed", consumer=self._label, error=repr(error))

    def _sign(self) -> None:
        self._last_sign = asyncio.get_running_loop().time()
