"""Reads a work queue in batches and strictly in the order of the stream, for hot paths that keep their own position.

A durable consumer redelivers out of order after a crash or a pause: new messages come before those whose
acknowledgement time has yet to pass. So whoever opens a reader recreates the consumer, and everything that is not
acknowledged comes again in the order of the stream, right away. The same happens by itself whenever the subscription
must be renewed (a reconnect, silence), and whenever what arrives is not, message by message, what the consumer has
delivered (see `DeliveryOrder`): nothing is handed out past a message that is missing. The owner commits the highest
sequence that it has applied together with its effect, and skips (acknowledges) what comes with a lower one.

Only one process may read a consumer at a time (a lease decides); the other one is told by `ConsumerLost`.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import nats.errors
import structlog
from nats.js.api import AckPolicy, ConsumerConfig

from services.chassis.errors import Unavailable
from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.consumer_lag import tell_lag
from services.chassis.nats.dead_letters import Failure, dead_letter
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.delivery_order import DeliveryOrder, OutOfOrder
from services.chassis.nats.publisher import Publisher
from services.chassis.nats.pull_source import PullSource, RenewalDue
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class ConsumerLost(Exception):
    """Another process has taken over the consumer: stop working on it."""


class StreamShortened(Unavailable):
    """The stream ends before a message that it has delivered: the broker has lost its end, and numbers come again."""


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """What a reader reads. `service` and `name` identify it; one reader per (stream, subject)."""

    service: str
    name: str
    stream: str
    subject: str
    max_unsettled: int = 512
    """Messages taken ahead and not yet acknowledged."""
    ack_wait: timedelta = timedelta(seconds=30)

    @property
    def durable(self) -> str:
        """Name of the consumer on the server."""
        return f"{self.service}_{self.name}"

    @property
    def label(self) -> str:
        """Name of the consumer for people."""
        return f"{self.service}/{self.name}"

    def config(self) -> ConsumerConfig:
        """As JetStream takes it."""
        return ConsumerConfig(
            durable_name=self.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait.total_seconds(),
            max_ack_pending=self.max_unsettled,
            filter_subject=self.subject,
        )


class BatchReader:
    """Batches of one subject in order. Made by `open_batch_reader`."""

    def __init__(self, connection: NatsConnection, options: BatchOptions, publisher: Publisher) -> None:
        self._connection = connection
        self._options = options
        self._publisher = publisher
        self._stream = connection.names.stream(options.stream)
        self._source = PullSource(connection, options.stream, options.config(), label=options.label, renews=False)
        self._order = DeliveryOrder()
        self._unsettled: dict[int, Delivery] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._lag: asyncio.Task[None] | None = None

    async def fetch(self, limit: int, max_wait: timedelta) -> Sequence[Delivery]:
        """Up to `limit` messages as soon as there is one, none after `max_wait`.

        Raises `Unavailable` while the broker cannot be reached (ask again), `StreamShortened` and `ConsumerLost`.
        Unacknowledged messages may come again at any time, also those that were fetched before: all of them, in the
        order of the stream, before anything newer.
        """
        if self._ticker is not None and self._ticker.done():
            # Without its sign of life messages would come out of order: a defect in it ends the reader.
            self._ticker.result()
        if self._source.deleted and not self._source.lost:
            raise ConsumerLost(self._options.label)
        room = self._options.max_unsettled - len(self._unsettled)
        try:
            deliveries = [
                Delivery(one, self._connection.names)
                for one in await self._source.next(min(limit, max(room, 1)), max_wait)
            ]
            for delivery in deliveries:
                self._order.follow(delivery.number, delivery.sequence, delivery.attempt)
        except (RenewalDue, OutOfOrder) as cause:
            if isinstance(cause, OutOfOrder):
                log.warning("nats.deliveries_missing", consumer=self._options.label, cause=str(cause))
                metrics.RESUBSCRIBED.labels(consumer=self._options.label, cause="order").inc()
            await self.rewind()
            return []
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("the message broker cannot be reached") from error
        self._unsettled.update((delivery.sequence, delivery) for delivery in deliveries)
        return deliveries

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Removes the messages from the queue; call it after their effect is committed.

        One round trip for all. What the server did not get to know comes again (the position tells the owner), and so
        does what was fetched before the reader started over: an acknowledgement names a place in the stream, which may
        be another message's by now.
        """
        current = [delivery for delivery in deliveries if self._holds(delivery)]
        for delivery in current[:-1]:
            await delivery.ack()
        if current:
            await current[-1].ack_confirmed()
        for delivery in current:
            if self._holds(delivery):
                del self._unsettled[delivery.sequence]
        metrics.CONSUMED.labels(consumer=self._options.label, outcome="done").inc(len(deliveries))

    async def drained(self) -> bool:
        """Whether the queue held nothing when it was asked: nothing to fetch, and nothing unacknowledged. Raises
        `Unavailable`."""
        try:
            info = await self._connection.js.consumer_info(self._stream, self._options.durable)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("the message broker cannot be reached") from error
        return not info.num_pending and not info.num_ack_pending

    async def dead_letter(self, delivery: Delivery, *, reason: str, error_type: str = "Permanent") -> None:
        """Moves the message to the dead letters. Raises `Unavailable` when that is not durable (it stays queued)."""
        failure = Failure(at=datetime.now(UTC), error_type=error_type, reason=reason)
        await self._publisher.publish_encoded(
            dead_letter(delivery, service=self._options.service, consumer=self._options.name, history=[failure])
        )
        if self._holds(delivery):
            await delivery.term()
            self._unsettled.pop(delivery.sequence, None)
        metrics.CONSUMED.labels(consumer=self._options.label, outcome="dead_letter").inc()

    def _holds(self, delivery: Delivery) -> bool:
        """Whether it was fetched since the reader started over last."""
        return self._unsettled.get(delivery.sequence) is delivery

    async def rewind(self) -> None:
        """Starts over at the oldest unacknowledged message. Raises `Unavailable` or `StreamShortened`."""
        self._unsettled.clear()
        try:
            await self._source.open(recreate=True)
            state = (await self._connection.js.stream_info(self._stream)).state
        except (nats.errors.Error, OSError) as error:
            raise Unavailable("the message broker cannot be reached") from error
        self._order.begin()
        if state.last_seq < self._order.highest:
            raise StreamShortened(f"stream {self._options.stream} ends at {state.last_seq}, and had brought more")

    async def start(self) -> None:
        """Takes over the consumer and begins to keep unsettled messages alive."""
        await self.rewind()
        options = self._options
        self._ticker = asyncio.create_task(self._keep_alive(), name=f"{options.label}:progress")
        lag = tell_lag(self._connection, options.stream, options.durable, label=options.label)
        self._lag = asyncio.create_task(lag, name=f"{options.label}:lag")

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._options.ack_wait.total_seconds() / 3)
            for delivery in list(self._unsettled.values()):
                await delivery.in_progress()

    async def close(self) -> None:
        """Stops pulling. What is unacknowledged comes again to the next reader."""
        await cancel(*(task for task in (self._ticker, self._lag) if task is not None))
        await self._source.close()


@asynccontextmanager
async def open_batch_reader(
    connection: NatsConnection, options: BatchOptions, *, publisher: Publisher
) -> AsyncGenerator[BatchReader]:
    """Takes over the consumer (whoever had it gets `ConsumerLost`) and reads from the oldest unacknowledged message."""
    reader = BatchReader(connection, options, publisher)
    try:
        await reader.start()
        yield reader
    finally:
        await reader.close()
