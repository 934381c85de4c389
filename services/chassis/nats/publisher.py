"""Publishes events and waits until JetStream holds them durably.

What may pass by itself (a reconnect, a leader election, a stream that is full for the moment) is retried with the same
`Nats-Msg-Id` until the time-out, so a repeat is stored once; after that it is `Unavailable` and the caller decides.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.js.api import Header

from services.chassis.errors import DomainError, InvalidArgument, Unavailable
from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.envelope import TYPE, Encoded, Event, encode

_RETRY_PAUSE = 0.1
# The ack itself takes milliseconds; waiting longer for one attempt than this hides a lost connection.
_ATTEMPT_SECONDS = 2.0
_BREATH = 64
"""After so many messages of a bundle others get their turn."""
MANY = 16
"""From so many on, one write costs the server less than as many publications side by side."""
_FEW = 6
"""A batch costs the server as much as this many messages that are published one after another."""
MAX_TOGETHER = 500
"""Messages that are published as one write, at the most (the server takes 1,000)."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where JetStream keeps the event; `duplicate` when it had it already."""

    stream: str
    sequence: int
    duplicate: bool


class Publisher:
    """Publishes for one service. At most `max_in_flight` publications wait for their acknowledgement at a time."""

    def __init__(
        self,
        connection: NatsConnection,
        *,
        source: str,
        timeout: timedelta = timedelta(seconds=5),
        max_in_flight: int = 1024,
    ) -> None:
        self._connection = connection
        self._source = source
        self._timeout = timeout.total_seconds()
        self._slots = asyncio.Semaphore(max_in_flight)

    @property
    def source(self) -> str:
        """The `ce-source` of what is published here."""
        return self._source

    async def publish(self, event: Event) -> Published:
        """Returns once the event is durable. Raises `Unavailable` (try again later) or `InvalidArgument` (too big)."""
        return await self.publish_encoded(encode(event, source=self._source))

    async def publish_many(self, events: Iterable[Event]) -> list[Published]:
        """Publishes all, many at a time, in no promised order; raises the first error after all have ended."""
        outcomes = await self.publish_all([encode(event, source=self._source) for event in events])
        published: list[Published] = []
        for outcome in outcomes:
            if isinstance(outcome, DomainError):
                raise outcome
            published.append(outcome)
        return published

    async def publish_all(self, messages: Sequence[Encoded]) -> list[Published | DomainError]:
        """Publishes all, many at a time; returns the outcome of each, in the order given."""
        return await asyncio.gather(*(self._outcome(message) for message in messages))

    async def publish_encoded(self, message: Encoded) -> Published:
        """Like `publish`, for an event that has been encoded before (outbox, dead letters)."""
        kind = message.headers.get(TYPE, "unknown")
        if message.size > self._connection.nc.max_payload:
            # The client counts the payload alone; the server counts headers, too, and ends the connection over it.
            raise InvalidArgument("the event is larger than the broker accepts")
        async with self._slots:
            try:
                published = await self._until_acknowledged(message)
            except DomainError:
                metrics.PUBLISH_FAILED.labels(type=kind).inc()
                raise
        metrics.PUBLISHED.labels(type=kind).inc()
        return published

    async def publish_in_order(self, messages: Sequence[Encoded]) -> tuple[int, DomainError | None]:
        """Publishes messages of one stream strictly in this order; returns how many of them, from the first on, are
        durable, and what kept the next one from it.

        Up to `MAX_TOGETHER` at a time are one write, which costs the server one sync instead of one for each message.
        Where that is refused (one of them is stored already, the stream does not allow it), they go one by one.
        """
        done = 0
        while done < len(messages):
            part = messages[done : done + MAX_TOGETHER]
            if len(part) < _FEW or not await self.publish_together(part):
                for place, message in enumerate(part):
                    try:
                        await self.publish_encoded(message)
                    except DomainError as error:
                        return done + place, error
            done += len(part)
        return done, None

    async def publish_side_by_side(self, messages: Sequence[Encoded]) -> list[DomainError | None]:
        """Publishes messages of one stream in no promised order: as one write where they are many, and each for itself
        where that fails. What became of each."""
        if MANY <= len(messages) <= MAX_TOGETHER and await self.publish_together(messages):
            return [None] * len(messages)
        outcomes = await self.publish_all(messages)
        return [outcome if isinstance(outcome, DomainError) else None for outcome in outcomes]

    async def publish_together(self, messages: Sequence[Encoded]) -> bool:
        """All or none of some messages of one stream, 2 to `MAX_TOGETHER`, in this order, by an atomic batch of
        JetStream; whether they are known to be durable."""
        if any(message.size > self._connection.nc.max_payload for message in messages):
            return False  # the server would end the connection over it
        nc, names, batch = self._connection.nc, self._connection.names, uuid4().hex
        async with self._slots:
            try:
                for place, message in enumerate(messages[:-1], start=1):
                    headers = {**message.headers, Header.BATCH_ID.value: batch, Header.BATCH_SEQUENCE.value: str(place)}
                    await nc.publish(names.subject(message.subject), message.payload, headers=headers)
                    if place % _BREATH == 0:
                        await asyncio.sleep(0)
                last = messages[-1]
                headers = {
                    **last.headers,
                    Header.BATCH_ID.value: batch,
                    Header.BATCH_SEQUENCE.value: str(len(messages)),
                    Header.BATCH_COMMIT.value: "1",
                }
                answer = await nc.request(
                    names.subject(last.subject), last.payload, timeout=_ATTEMPT_SECONDS, headers=headers
                )
            except (nats.errors.Error, OSError):
                return False
        if json.loads(answer.data).get("count") != len(messages):
            return False
        for kind, count in Counter(message.headers.get(TYPE, "unknown") for message in messages).items():
            metrics.PUBLISHED.labels(type=kind).inc(count)
        return True

    async def _outcome(self, message: Encoded) -> Published | DomainError:
        try:
            return await self.publish_encoded(message)
        except DomainError as error:
            return error

    async def _until_acknowledged(self, message: Encoded) -> Published:
        loop, names = asyncio.get_running_loop(), self._connection.names
        deadline = loop.time() + self._timeout
        while True:
            left = deadline - loop.time()
            try:
                ack = await self._connection.js.publish(
                    names.subject(message.subject),
                    message.payload,
                    timeout=max(0.05, min(left, _ATTEMPT_SECONDS)),
                    # A copy: nats-py adds its own entries to the mapping that it is given.
                    headers=dict(message.headers),
                )
                return Published(names.plain_stream(ack.stream), ack.seq, duplicate=bool(ack.duplicate))
            except (nats.errors.BadSubjectError, nats.errors.BadHeaderError) as error:
                raise InvalidArgument(f"the event cannot be sent: {error}") from error
            except (nats.errors.ConnectionClosedError, nats.errors.ConnectionDrainingError) as error:
                raise Unavailable("the connection to the message broker is closed") from error
            except (nats.errors.Error, OSError) as error:
                if loop.time() + _RETRY_PAUSE >= deadline:
                    raise Unavailable(f"the event was not acknowledged: {_describe(error)}") from error
            await asyncio.sleep(_RETRY_PAUSE)


def _describe(error: Exception) -> str:
    if isinstance(error, nats.js.errors.APIError):
        return error.description or f"error {error.err_code}"
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        return "no stream takes this subject"
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
