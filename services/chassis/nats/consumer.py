"""A durable consumer that calls a handler for each message and settles the message by the handler's outcome.

What a handler raises decides (see `services.chassis.nats.settler`); one that returns has its message acknowledged. One
that is still running at a third of `ack_wait` has the server told so, as often as it takes; one that is still running
when the budget of a stop ends is cancelled, and its message handed back for immediate redelivery. Handlers must be
idempotent (see `InboxHandler`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from opentelemetry import trace

from services.chassis.handler_stage import stage_of
from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.consumer_lag import tell_lag
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import trace_context
from services.chassis.nats.publisher import Publisher
from services.chassis.nats.pull_source import PullSource
from services.chassis.nats.retry_policy import RetryPolicy
from services.chassis.nats.settler import Settler
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

Handler = Callable[[Delivery], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ConsumerOptions:
    """What a consumer reads and how hard it may try. `service` and `name` identify it for ever (durable)."""

    service: str
    name: str
    stream: str
    subjects: tuple[str, ...] = ()
    """Subjects of the stream that it reads; empty = all."""
    only_new: bool = False
    """When it is made, start with what is published from then on, instead of with all that the stream holds."""
    max_in_flight: int = 32
    """Handlers that run at the same time in this process."""
    ack_wait: timedelta = timedelta(seconds=10)
    """How long the server waits for a sign of life of a process before it delivers to another."""
    max_ack_pending: int = 2000
    """Unsettled messages over all processes, those that wait for a retry among them."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    stop_budget: timedelta = timedelta(seconds=10)

    @property
    def durable(self) -> str:
        """Name of the consumer on the server."""
        return f"{self.service}_{self.name}"

    @property
    def label(self) -> str:
        """Name of the consumer for people."""
        return f"{self.service}/{self.name}"

    def config(self) -> ConsumerConfig:
        """As JetStream takes it: no `backoff` (it would replace `ack_wait`), no `max_deliver` (it drops silently)."""
        return ConsumerConfig(
            durable_name=self.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait.total_seconds(),
            max_ack_pending=self.max_ack_pending,
            filter_subjects=list(self.subjects) or None,
            deliver_policy=DeliverPolicy.NEW if self.only_new else DeliverPolicy.ALL,
        )


class PullConsumer(ABC):
    """What consumers of a durable consumer share: pulling, signs of life, the stage around the handler, an orderly
    stop. A task for each piece of work; `_room` and `_pieces` say how large those are."""

    def __init__(self, connection: NatsConnection, options: ConsumerOptions, publisher: Publisher) -> None:
        self._connection = connection
        self._options = options
        self._settler = Settler(options.service, options.name, options.retry, publisher)
        self._source = PullSource(connection, options.stream, options.config(), label=options.label)
        self._in_flight: dict[asyncio.Task[None], Sequence[Delivery]] = {}
        self._freed = asyncio.Event()
        self._gauge = metrics.IN_FLIGHT.labels(consumer=options.label)
        self._stage = stage_of(options.label)

    @abstractmethod
    def _room(self) -> int:
        """How many messages may be taken now."""

    @abstractmethod
    def _pieces(self, deliveries: Sequence[Delivery]) -> Iterable[Sequence[Delivery]]:
        """What was taken together, as pieces of work."""

    @abstractmethod
    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        """Handles and settles one piece of work."""

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until `stop` is set, then finishes what is in flight within the budget and hands back the rest.

        Survives restarts of the server. Ends with an exception only by a defect.
        """
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(self._tick(), name=f"{self._options.label}:progress")
            waker = tasks.create_task(self._wake_on(stop), name=f"{self._options.label}:stop")
            lag = tasks.create_task(self._tell_lag(), name=f"{self._options.label}:lag")
            try:
                await self._pull_until(stop, tasks)
                for message in await self._source.close():
                    await self._settler.hand_back(self._delivery(message))
                await self._finish()
            finally:
                await cancel(ticker, waker, lag)

    async def _pull_until(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        while not stop.is_set():
            self._freed.clear()
            room = self._room()
            if room <= 0:
                await self._freed.wait()
                continue
            try:
                messages = await self._source.next(room, timedelta(seconds=1))
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("nats.pull_failed", consumer=self._options.label, error=repr(error))
                await _wait(stop, 0.5)
                continue
            for piece in self._pieces([self._delivery(message) for message in messages]):
                self._start(piece, tasks)

    def _delivery(self, message: Msg) -> Delivery:
        return Delivery(message, self._connection.names, self._source.still_open())

    def _start(self, piece: Sequence[Delivery], tasks: asyncio.TaskGroup) -> None:
        task = tasks.create_task(self._work(piece), name=f"{self._options.label}:{piece[0].sequence}")
        self._in_flight[task] = piece
        self._gauge.inc(len(piece))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._gauge.dec(len(self._in_flight.pop(task)))
        self._freed.set()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._source.wake()
        self._freed.set()

    async def _tell_lag(self) -> None:
        options = self._options
        await tell_lag(self._connection, options.stream, options.durable, label=options.label)

    async def _tick(self) -> None:
        pause = self._options.ack_wait.total_seconds() / 3
        while True:
            await asyncio.sleep(pause)
            for piece in list(self._in_flight.values()):
                for delivery in piece:
                    await delivery.in_progress()

    async def _finish(self) -> None:
        if not self._in_flight:
            return
        _, late = await asyncio.wait(self._in_flight, timeout=self._options.stop_budget.total_seconds())
        await cancel(*late)


class Consumer(PullConsumer):
    """Runs one handler on one durable consumer, a message at a time and many at the same time."""

    def __init__(
        self, connection: NatsConnection, options: ConsumerOptions, handler: Handler, *, publisher: Publisher
    ) -> None:
        super().__init__(connection, options, publisher)
        self._handler = handler

    def _room(self) -> int:
        return self._options.max_in_flight - len(self._in_flight)

    def _pieces(self, deliveries: Sequence[Delivery]) -> Iterable[Sequence[Delivery]]:
        return [(delivery,) for delivery in deliveries]

    async def _work(self, deliveries: Sequence[Delivery]) -> None:
        (delivery,) = deliveries
        if not await self._settler.wanted(delivery):
            return
        outcome: Exception | None = None
        try:
            await self._handle(delivery)
        except asyncio.CancelledError:
            await self._settler.hand_back(delivery)
            raise
        except Exception as error:
            outcome = error
        await self._settler.settle(delivery, outcome)

    async def _handle(self, delivery: Delivery) -> None:
        with tracer.start_as_current_span(
            f"{self._options.label} process",
            context=trace_context(delivery.headers),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "messaging.system": "nats",
                "messaging.destination.name": delivery.subject,
                "messaging.message.id": delivery.id,
            },
        ):
            await self._stage.run(1, self._handler(delivery))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
