"""Settles the messages of a durable consumer by what became of them: one place for every kind of consumer.

| the outcome                        | then                                                                      |
|------------------------------------|---------------------------------------------------------------------------|
| None (handled)                     | acknowledged                                                              |
| `Permanent`                        | dead letter at once                                                       |
| `RetryAfter`                       | delivered again after its delay; counts as an attempt                     |
| `Unavailable`                      | delivered again with backoff; does not count (our own outage)             |
| `InvalidArgument`, ValueError,     | dead letter at once: the content is wrong, and waiting does not mend it   |
| an SQL data exception (class 22)   |                                                                           |
| anything else                      | delivered again with backoff, a dead letter after `retry.max_attempts`    |

Failures are counted by the process that saw them; after a restart counting starts anew, within `retry.max_deliveries`.
The original is given up only after the dead letter is durable. Whatever a message holds, it ends only itself: what goes
wrong while one is settled is logged, and it comes again.
"""

from collections import OrderedDict
from datetime import UTC, datetime

import structlog

from services.chassis.errors import DomainError, InvalidArgument, Unavailable
from services.chassis.nats import metrics
from services.chassis.nats.dead_letters import HISTORY_LIMIT, Failure, dead_letter, sent_back_to
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.publisher import Publisher
from services.chassis.nats.retry_policy import Permanent, RetryAfter, RetryPolicy

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_HISTORIES = 10_000


class Settler:
    """Settles deliveries of the consumer `name` of `service`."""

    def __init__(self, service: str, name: str, retry: RetryPolicy, publisher: Publisher) -> None:
        self._service = service
        self._name = name
        self._label = f"{service}/{name}"
        self._retry = retry
        self._publisher = publisher
        self._failures: OrderedDict[str, list[Failure]] = OrderedDict()
        """Place of the message -> what became of it in this process."""
        self._counts = {
            outcome: metrics.CONSUMED.labels(consumer=self._label, outcome=outcome)
            for outcome in ("done", "skipped", "retry", "dead_letter", "handed_back", "unsettled")
        }

    async def wanted(self, delivery: Delivery) -> bool:
        """Whether it is to be handled; what is not (sent back to somebody else, delivered too often) is settled."""
        try:
            only = sent_back_to(delivery.headers)
            if only is not None and only != self._label:
                await delivery.ack()
                self._counts["skipped"].inc()
                return False
            if delivery.attempt > self._retry.max_deliveries:
                await self._give_up(delivery, Permanent(f"delivered {delivery.attempt} times without an outcome"))
                return False
        except Exception as error:
            self._defect(delivery, error)
            return False
        return True

    async def settle(self, delivery: Delivery, outcome: Exception | None) -> None:
        """See the module."""
        try:
            if outcome is None:
                await delivery.ack()
                self._failures.pop(delivery.place, None)
                self._counts["done"].inc()
            elif isinstance(outcome, Permanent) or _hopeless(outcome):
                await self._give_up(delivery, outcome)
            else:
                await self._fail(delivery, outcome)
        except Exception as error:
            self._defect(delivery, error)

    async def hand_back(self, delivery: Delivery) -> None:
        """Not handled: it is delivered again at once, to whoever asks."""
        await delivery.nak()
        self._counts["handed_back"].inc()

    def _defect(self, delivery: Delivery, error: Exception) -> None:
        # Of ours, about one message: the others go on, and this one comes again when its time is over.
        log.error("message.unsettled", consumer=self._label, id=delivery.id, error=repr(error), exc_info=error)
        self._counts["unsettled"].inc()

    async def _fail(self, delivery: Delivery, error: Exception) -> None:
        if isinstance(error, Unavailable):
            failures = min(delivery.attempt, 64)
            log.warning("message.postponed", consumer=self._label, id=delivery.id, error=str(error))
        else:
            failures = len(self._remember(delivery, error))
            if failures >= self._retry.max_attempts:
                await self._give_up(delivery, error, remembered=True)
                return
            # A defect wants its stack; an expected failure speaks for itself.
            expected = isinstance(error, (DomainError, RetryAfter))
            log.warning(
                "message.failed",
                consumer=self._label,
                id=delivery.id,
                failures=failures,
                error=repr(error),
                exc_info=None if expected else error,
            )
        delay = error.delay if isinstance(error, RetryAfter) else self._retry.delay(failures)
        await delivery.nak(delay)
        self._counts["retry"].inc()

    async def _give_up(self, delivery: Delivery, error: Exception, *, remembered: bool = False) -> None:
        history = self._failures[delivery.place] if remembered else self._remember(delivery, error)
        letter = dead_letter(delivery, service=self._service, consumer=self._name, history=history)
        try:
            await self._publisher.publish_encoded(letter)
        except DomainError as problem:
            log.error("message.dead_letter_failed", consumer=self._label, id=delivery.id, error=repr(problem))
            await delivery.nak(self._retry.delay(len(history)))
            self._counts["retry"].inc()
            return
        await delivery.term()
        self._failures.pop(delivery.place, None)
        self._counts["dead_letter"].inc()
        log.error("message.dead_letter", consumer=self._label, id=delivery.id, reason=history[-1].reason)

    def _remember(self, delivery: Delivery, error: Exception) -> list[Failure]:
        history = self._failures.setdefault(delivery.place, [])
        reason = getattr(error, "reason", None) if isinstance(error, (Permanent, RetryAfter)) else str(error)
        kind = error.code if isinstance(error, Permanent) else type(error).__name__
        history.append(Failure(at=datetime.now(UTC), error_type=kind, reason=reason or repr(error)))
        del history[: -max(HISTORY_LIMIT, self._retry.max_attempts)]
        while len(self._failures) > _HISTORIES:
            self._failures.popitem(last=False)
        return history


def _hopeless(error: Exception) -> bool:
    """Whether the content of the message is at fault."""
    # Told by the SQLSTATE, as this module knows no database.
    data_exception = str(getattr(error, "sqlstate", "")).startswith("22")
    return data_exception or isinstance(error, (InvalidArgument, ValueError))
