"""The middleware around every handler: measures time, counts processed and failed messages, sums up now and then."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.chassis.nats import Delivery
from services.chassis.telemetry.logs import get_logger
from services.chassis.telemetry.metrics import counter, histogram

log = get_logger(__name__)

SUMMARY_EVERY = 100

_handled = counter("tocsin_notification_handled", "Messages handled, by handler and outcome.", ["handler", "outcome"])
_repeats = counter(
    "tocsin_notification_repeats",
    "Messages sent again, with the same id, because a process had ended during the attempt before.",
    ["handler"],
)
_seconds = histogram("tocsin_notification_handling_seconds", "Time that handling took.", ["handler"])


@dataclass(slots=True)
class _Tally:
    processed: int = 0
    failed: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


class _Metrics:
    """Those of one handler, bound once."""

    def __init__(self, handler: str) -> None:
        self.processed = _handled.labels(handler, "processed")
        self.failed = _handled.labels(handler, "failed")
        self.seconds = _seconds.labels(handler)


class PrometheusMeter:
    """A Meter: Prometheus metrics, and a line in the log for every hundred messages of a handler."""

    def __init__(self, every: int = SUMMARY_EVERY) -> None:
        self._every = every
        self._tallies: dict[str, _Tally] = {}
        self._metrics: dict[str, _Metrics] = {}

    def observe(self, handler: str, seconds: float, *, failed: bool) -> None:
        """One message has been handled."""
        metrics = self._metrics.get(handler)
        if metrics is None:
            metrics = self._metrics[handler] = _Metrics(handler)
        (metrics.failed if failed else metrics.processed).inc()
        metrics.seconds.observe(seconds)
        tally = self._tallies.setdefault(handler, _Tally())
        tally.processed += not failed
        tally.failed += failed
        tally.seconds += seconds
        tally.slowest = max(tally.slowest, seconds)
        total = tally.processed + tally.failed
        if total < self._every:
            return
        log.info(
            "handler.summary",
            handler=handler,
            messages=total,
            processed=tally.processed,
            failed=tally.failed,
            mean_ms=round(tally.seconds / total * 1000, 3),
            slowest_ms=round(tally.slowest * 1000, 3),
        )
        del self._tallies[handler]

    def repeated(self, handler: str) -> None:
        """See Meter."""
        _repeats.labels(handler).inc()

    def around(
        self, handler: str, handle: Callable[[Delivery], Awaitable[None]]
    ) -> Callable[[Delivery], Awaitable[None]]:
        """The consumer's handler, measured."""

        async def measured(delivery: Delivery) -> None:
            began = time.perf_counter()
            failed = True
            try:
                await handle(delivery)
                failed = False
            finally:
                self.observe(handler, time.perf_counter() - began, failed=failed)

        return measured
