"""A durable consumer that calls a handler for each message and settles the message by the handler's outcome.

| the handler                           | then                                                                   |
|---------------------------------------|------------------------------------------------------------------------|
| returns                               | acknowledged                                                           |
| raises `Permanent`                    | dead letter at once                                                    |
| raises `RetryAfter`                   | delivered again after its delay; counts as an attempt                  |
| raises `Unavailable`                  | delivered again with backoff; does not count (our own outage)          |
| raises `InvalidArgument`, ValueError, | dead letter at once: the content is wrong, and waiting does not mend   |
| an SQL data exception (class 22)      | it                                                                     |
| raises anything else                  | delivered again with backoff, a dead letter after `retry.max_attempts` |
| is still running at ack_wait/3        | the server is told so, as often as it takes                            |
| is still running when the budget ends | cancelled and handed back for immediate redelivery                     |

Failures are counted by the process that saw them; after a restart counting starts anew, within `retry.max_deliveries`.
The original is given up only after the dead letter is durable. Handlers must be idempotent (see `InboxHandler`).
Whatever a message holds, it ends only itself: what goes wrong while one is settled is logged, and it comes again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from opentelemetry import trace

from services.chassis.errors import DomainError, InvalidArgument, Unavailable
from services.chassis.nats import metrics
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.dead_letters import HISTORY_LIMIT, Failure, dead_letter, sent_back_to
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import trace_context
from services.chassis.nats.publisher import Publisher
from services.chassis.nats.pull import PullSource
from services.chassis.nats.retry import Permanent, RetryAfter, RetryPolicy
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
tracer = trace.get_tracer(__name__)

Handler = Callable[[Delivery], Awaitable[None]]

_HISTORIES = 10_000


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


class Consumer:
    """Runs one handler on one durable consumer."""

    def __init__(
        self, connection: NatsConnection, options: ConsumerOptions, handler: Handler, *, publisher: Publisher
    ) -> None:
        self._connection = connection
        self._options = options
        self._handler = handler
        self._publisher = publisher
        self._source = PullSource(connection, options.stream, options.config(), label=options.label)
        self._in_flight: dict[asyncio.Task[None], Delivery] = {}
        self._failures: OrderedDict[str, list[Failure]] = OrderedDict()
        """Place of the message -> what became of it in this process."""
        self._freed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until `stop` is set, then finishes what is in flight within the budget and hands back the rest.

        Survives restarts of the server. Ends with an exception only by a defect.
        """
        async with asyncio.TaskGroup() as tasks:
            ticker = tasks.create_task(self._tick(), name=f"{self._options.label}:progress")
            waker = tasks.create_task(self._wake_on(stop), name=f"{self._options.label}:stop")
            try:
                await self._pull_until(stop, tasks)
                for message in await self._source.close():
                    await self._hand_back(Delivery(message, self._connection.names, self._source.still_open()))
                await self._finish()
            finally:
                ticker.cancel()
                waker.cancel()

    async def _pull_until(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        while not stop.is_set():
            self._freed.clear()
            free = self._options.max_in_flight - len(self._in_flight)
            if free <= 0:
                await self._freed.wait()
                continue
            try:
                messages = await self._source.next(free, timedelta(seconds=1))
            except (nats.errors.Error, TimeoutError) as error:
                log.warning("nats.pull_failed", consumer=self._options.label, error=repr(error))
                await _wait(stop, 0.5)
                continue
            for message in messages:
                self._start(message, tasks)

    def _start(self, message: Msg, tasks: asyncio.TaskGroup) -> None:
        delivery = Delivery(message, self._connection.names, self._source.still_open())
        task = tasks.create_task(self._settle(delivery), name=f"{self._options.label}:{delivery.sequence}")
        self._in_flight[task] = delivery
        metrics.IN_FLIGHT.labels(consumer=self._options.label).inc()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        metrics.IN_FLIGHT.labels(consumer=self._options.label).dec()
        self._freed.set()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._source.wake()
        self._freed.set()

    async def _tick(self) -> None:
        pause = self._options.ack_wait.total_seconds() / 3
        while True:
            await asyncio.sleep(pause)
            for delivery in list(self._in_flight.values()):
                await delivery.in_progress()

    async def _finish(self) -> None:
        if not self._in_flight:
            return
        _, late = await asyncio.wait(self._in_flight, timeout=self._options.stop_budget.total_seconds())
        await cancel(*late)

    async def _settle(self, delivery: Delivery) -> None:
        try:
            await self._process(delivery)
        except Exception as error:
            # A defect of ours about one message: the others go on, and this one comes again when its time is over.
            log.exception("message.unsettled", consumer=self._options.label, id=delivery.id, error=repr(error))
            self._count("unsettled")

    async def _process(self, delivery: Delivery) -> None:
        only = sent_back_to(delivery.headers)
        if only is not None and only != self._options.label:
            await delivery.ack()
            self._count("skipped")
            return
        if delivery.attempt > self._options.retry.max_deliveries:
            await self._give_up(delivery, Permanent(f"delivered {delivery.attempt} times without an outcome"))
            return
        try:
            await self._handle(delivery)
        except asyncio.CancelledError:
            await self._hand_back(delivery)
            raise
        except Permanent as error:
            await self._give_up(delivery, error)
        except Exception as error:
            if _hopeless(error):
                await self._give_up(delivery, error)
            else:
                await self._fail(delivery, error)
        else:
            await delivery.ack()
            self._failures.pop(delivery.place, None)
            self._count("done")

    async def _handle(self, delivery: Delivery) -> None:
        with (
            metrics.HANDLING.labels(consumer=self._options.label).time(),
            tracer.start_as_current_span(
                f"{self._options.label} process",
                context=trace_context(delivery.headers),
                kind=trace.SpanKind.CONSUMER,
                attributes={
                    "messaging.system": "nats",
                    "messaging.destination.name": delivery.subject,
                    "messaging.message.id": delivery.id,
                },
            ),
        ):
            await self._handler(delivery)

    async def _fail(self, delivery: Delivery, error: Exception) -> None:
        retry = self._options.retry
        if isinstance(error, Unavailable):
            failures = min(delivery.attempt, 64)
            log.warning("message.postponed", consumer=self._options.label, id=delivery.id, error=str(error))
        else:
            failures = len(self._remember(delivery, error))
            if failures >= retry.max_attempts:
                await self._give_up(delivery, error, remembered=True)
                return
            # A defect wants its stack; an expected failure speaks for itself.
            expected = isinstance(error, (DomainError, RetryAfter))
            log.warning(
                "message.failed",
                consumer=self._options.label,
                id=delivery.id,
                failures=failures,
                error=repr(error),
                exc_info=None if expected else error,
            )
        delay = error.delay if isinstance(error, RetryAfter) else retry.delay(failures)
        await delivery.nak(delay)
        self._count("retry")

    async def _give_up(self, delivery: Delivery, error: Exception, *, remembered: bool = False) -> None:
        history = self._failures[delivery.place] if remembered else self._remember(delivery, error)
        letter = dead_letter(delivery, service=self._options.service, consumer=self._options.name, history=history)
        try:
            await self._publisher.publish_encoded(letter)
        except DomainError as problem:
            log.error("message.dead_letter_failed", consumer=self._options.label, id=delivery.id, error=repr(problem))
            await delivery.nak(self._options.retry.delay(len(history)))
            self._count("retry")
            return
        await delivery.term()
        self._failures.pop(delivery.place, None)
        self._count("dead_letter")
        log.error("message.dead_letter", consumer=self._options.label, id=delivery.id, reason=history[-1].reason)

    async def _hand_back(self, delivery: Delivery) -> None:
        await delivery.nak()
        self._count("handed_back")

    def _remember(self, delivery: Delivery, error: Exception) -> list[Failure]:
        history = self._failures.setdefault(delivery.place, [])
        reason = getattr(error, "reason", None) if isinstance(error, (Permanent, RetryAfter)) else str(error)
        history.append(Failure(at=datetime.now(UTC), error_type=type(error).__name__, reason=reason or repr(error)))
        del history[: -max(HISTORY_LIMIT, self._options.retry.max_attempts)]
        while len(self._failures) > _HISTORIES:
            self._failures.popitem(last=False)
        return history

    def _count(self, outcome: str) -> None:
        metrics.CONSUMED.labels(consumer=self._options.label, outcome=outcome).inc()


def _hopeless(error: Exception) -> bool:
    """Whether the content of the message is at fault."""
    # Told by the SQLSTATE, as this module knows no database.
    data_exception = str(getattr(error, "sqlstate", "")).startswith("22")
    return data_exception or isinstance(error, (InvalidArgument, ValueError))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
