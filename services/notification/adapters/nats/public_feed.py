"""The public events for webhook subscribers. A type that nobody wants has no consumer, and costs nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import nats.errors
import nats.js.errors

from services.chassis.errors import DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.nats import Consumer, ConsumerOptions, Delivery, NatsConnection, Permanent, Publisher
from services.chassis.nats.topology import (
    ALARM_CLEARED_SUBJECT,
    ALARM_RAISED_SUBJECT,
    ALARMS,
    DEBT_FILE_COMPLETED_SUBJECT,
    DEBT_FILES,
    VIDEO_FAILED_SUBJECT,
    VIDEO_PROBED_SUBJECT,
    VIDEOS,
    WINDOWS,
)
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.event_types import new_message
from services.notification.adapters.nats import events
from services.notification.application.ports.webhooks import PublicEvent, SubscriptionStore

log = get_logger(__name__)

SOURCES = {
    "tocsin.events.v1.VideoProbed": (VIDEOS, VIDEO_PROBED_SUBJECT),
    "tocsin.events.v1.VideoProbeFailed": (VIDEOS, VIDEO_FAILED_SUBJECT),
    "tocsin.events.v1.WindowClosed": (WINDOWS, "tocsin.windows.v1.closed.>"),
    "tocsin.events.v1.AlarmRaised": (ALARMS, ALARM_RAISED_SUBJECT),
    "tocsin.events.v1.AlarmCleared": (ALARMS, ALARM_CLEARED_SUBJECT),
    "tocsin.events.v1.DebtFileCompleted": (DEBT_FILES, DEBT_FILE_COMPLETED_SUBJECT),
}
"""Event type -> stream and subject."""
_LOOK_EVERY_SECONDS = 30.0


def consumer_options(event_type: str) -> ConsumerOptions:
    """The consumer of an event type; it begins with what is published after it was made."""
    stream, subject = SOURCES[event_type]
    return ConsumerOptions(
        service=events.SERVICE,
        name=f"webhooks_{event_type.rpartition('.')[2]}",
        stream=stream,
        subjects=(subject,),
        only_new=True,
        max_in_flight=256,
    )


def public_event(delivery: Delivery) -> PublicEvent:
    """The event as it goes to subscribers. Raises Permanent for what is no public event."""
    try:
        message = delivery.decode(type(new_message(delivery.event_type)))
    except KeyError as error:
        raise Permanent(f"unknown event type {delivery.event_type}") from error
    body = events.cloud_event(
        message,
        event_id=delivery.id,
        source=delivery.headers.get("ce-source", ""),
        time=delivery.headers.get("ce-time", delivery.published_at.isoformat()),
    )
    return PublicEvent(id=delivery.id, type=delivery.event_type, body=body, published_at=delivery.published_at)


class PublicFeed:
    """EventFeed: one durable consumer for each wanted type, shared by the replicas."""

    def __init__(
        self,
        connection: NatsConnection,
        publisher: Publisher,
        subscriptions: SubscriptionStore,
        fan_out: GroupCommit[PublicEvent, int],
    ) -> None:
        self._connection = connection
        self._names = connection.names
        self._publisher = publisher
        self._subscriptions = subscriptions
        self._fan_out = fan_out
        self._woken = asyncio.Event()
        self._running: dict[str, tuple[asyncio.Event, asyncio.Task[None]]] = {}
        self._suspects = set(SOURCES)
        """Types that may have a consumer which nobody wants (any more)."""

    def poke(self) -> None:
        """Makes it look at the subscriptions now."""
        self._woken.set()

    async def begin(self, event_types: Sequence[str]) -> None:
        """See EventFeed: makes the consumers that are missing."""
        try:
            for event_type in event_types:
                self._suspects.add(event_type)
                options = consumer_options(event_type)
                config = replace(self._names.consumer(options.config()), name=options.durable)
                await self._connection.js.add_consumer(self._names.stream(options.stream), config=config)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes what is wanted until `stop` is set."""
        waking = asyncio.create_task(self._wake_on(stop), name="feed stop")
        try:
            while not stop.is_set():
                self._woken.clear()
                await self._reconcile()
                try:
                    async with asyncio.timeout(_LOOK_EVERY_SECONDS):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            waking.cancel()
            await asyncio.gather(*(self._stop(event_type) for event_type in list(self._running)))

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    async def _reconcile(self) -> None:
        for event_type, (_, task) in list(self._running.items()):
            if task.done():
                await self._stop(event_type)  # raises what ended it
        try:
            wanted = await self._subscriptions.wanted_types()
            for event_type in wanted - set(self._running):
                self._start(event_type)
            for event_type in set(self._running) - wanted:
                await self._stop(event_type)
                self._suspects.add(event_type)
            for event_type in self._suspects - wanted:
                await self._judge(event_type)
        except DomainError as error:
            log.warning("feed.postponed", error=repr(error))

    async def _judge(self, event_type: str) -> None:
        # Taken off the list first: `begin` may put it there again before we hear that the consumer was removed.
        self._suspects.discard(event_type)
        gone = False
        try:
            gone = await self._subscriptions.when_unwanted(event_type, partial(self._forget, event_type))
        finally:
            if not gone:
                self._suspects.add(event_type)

    def _start(self, event_type: str) -> None:
        stop = asyncio.Event()
        options = consumer_options(event_type)
        consumer = Consumer(self._connection, options, self._handle, publisher=self._publisher)
        task = asyncio.create_task(consumer.run(stop), name=f"feed {event_type}")
        task.add_done_callback(lambda _: self.poke())
        self._running[event_type] = stop, task
        log.info("feed.started", event_type=event_type)

    async def _stop(self, event_type: str) -> None:
        stop, task = self._running.pop(event_type)
        stop.set()
        await task
        log.info("feed.stopped", event_type=event_type)

    async def _forget(self, event_type: str) -> None:
        options = consumer_options(event_type)
        try:
            await self._connection.js.delete_consumer(self._names.stream(options.stream), options.durable)
        except nats.js.errors.NotFoundError:
            return
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error

    async def _handle(self, delivery: Delivery) -> None:
        await self._fan_out.submit(public_event(delivery))
