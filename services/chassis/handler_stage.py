"""The stage around every handler of the mesh: measures time, counts what is processed and what fails, sums up.

One for each handler of a process (`stage_of`), whichever consumer calls it. What it knows is on /metrics, in the log
once for every hundred messages, and in a `HandlerReport` for whoever asks.
"""

import math
import time
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from services.chassis.errors import Unavailable
from services.chassis.telemetry.metrics import counter, histogram

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SUMMARY_EVERY: Final = 100
"""Messages of a handler between two lines in the log."""
CLASS_FACTOR: Final = 1.1
_LEAST: Final = 1e-5
"""Seconds of class 0: each further one is `CLASS_FACTOR` times as long."""
_LONGEST: Final = 200
_ERROR_LIMIT: Final = 300

Outcomes = Sequence[Exception | None]
"""What became of each message, in their order: None, or the error."""

_handled = counter("tocsin_messages_handled", "Messages handled, by handler and outcome.", ["consumer", "outcome"])
_seconds = histogram(
    "tocsin_message_handling_seconds",
    "Time from the start of a handler to its outcome.",
    ["consumer"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerReport:
    """What is known of a handler since `since`. `calls` are calls of it, each with one message or many; `classes`
    counts them by their time (see `class_bound`). A message that is tried again counts each time."""

    handler: str
    since: datetime
    processed: int = 0
    failed: int = 0
    calls: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    classes: Mapping[int, int] = field(default_factory=dict[int, int])
    last_error: str = ""
    last_error_at: datetime | None = None

    @property
    def mean(self) -> float:
        """Seconds of a call; 0 before the first one."""
        return self.seconds / self.calls if self.calls else 0.0

    def percentile(self, share: float) -> float:
        """Seconds that this share of the calls did not exceed, at most 10 % too high; 0 before the first call."""
        wanted, seen = math.ceil(share * self.calls), 0
        for number, count in sorted(self.classes.items()):
            seen += count
            if seen >= wanted:
                return min(class_bound(number), self.slowest)
        return self.slowest

    def merged(self, other: "HandlerReport") -> "HandlerReport":
        """Both together: the same handler in two processes."""
        later = max((self, other), key=lambda one: (one.last_error_at is not None, one.last_error_at or one.since))
        return HandlerReport(
            handler=self.handler,
            since=min(self.since, other.since),
            processed=self.processed + other.processed,
            failed=self.failed + other.failed,
            calls=self.calls + other.calls,
            seconds=self.seconds + other.seconds,
            slowest=max(self.slowest, other.slowest),
            classes=Counter(self.classes) + Counter(other.classes),
            last_error=later.last_error,
            last_error_at=later.last_error_at,
        )


def class_of(seconds: float) -> int:
    """The class of a time: the smallest whole number c >= 0 with `class_bound(c)` not below it."""
    if seconds <= _LEAST:
        return 0
    return min(math.ceil(math.log(seconds / _LEAST) / math.log(CLASS_FACTOR)), _LONGEST)


def class_bound(number: int) -> float:
    """The longest time of a class, in seconds."""
    return _LEAST * CLASS_FACTOR**number


@dataclass(slots=True)
class _Tally:
    """Since the last line in the log."""

    processed: int = 0
    failed: int = 0
    calls: int = 0
    seconds: float = 0.0
    slowest: float = 0.0


class HandlerStage:
    """The stage of one handler. `stage_of` makes it."""

    def __init__(self, handler: str, *, summary_every: int = SUMMARY_EVERY) -> None:
        self.handler = handler
        self._summary_every = summary_every
        self._since = datetime.now(UTC)
        self._processed = self._failed = self._calls = 0
        self._total = self._slowest = 0.0
        self._classes: Counter[int] = Counter()
        self._error = ""
        self._error_at: datetime | None = None
        self._tally = _Tally()
        self._processed_metric = _handled.labels(handler, "processed")
        self._failed_metric = _handled.labels(handler, "failed")
        self._seconds_metric = _seconds.labels(handler)

    async def run(self, messages: int, work: Awaitable[Outcomes | None]) -> Outcomes:
        """Awaits what the handler does about so many messages, and counts what became of them: None for all of them
        processed. What it raises passes on; it is the outcome of one message, and of all of them when our own parts are
        away. Many that fail together otherwise are handled again one by one, and count then. A call that is cancelled
        counts for nothing: its messages come again."""
        began = time.perf_counter()
        try:
            outcomes = await work or (None,) * messages
        except Exception as error:
            blamed = messages if messages == 1 or isinstance(error, Unavailable) else 0
            self.observe(time.perf_counter() - began, failed=blamed, error=_told(error))
            raise
        errors = [error for error in outcomes if error is not None]
        self.observe(
            time.perf_counter() - began,
            processed=messages - len(errors),
            failed=len(errors),
            error=_told(errors[-1]) if errors else "",
        )
        return outcomes

    def observe(self, seconds: float, *, processed: int = 0, failed: int = 0, error: str = "") -> None:
        """A call of the handler has taken so long; `error`, where there was one, is the last of them."""
        if error:
            self._error, self._error_at = error[:_ERROR_LIMIT], datetime.now(UTC)
        if failed:
            self._failed_metric.inc(failed)
        if processed:
            self._processed_metric.inc(processed)
        self._seconds_metric.observe(seconds)
        self._processed += processed
        self._failed += failed
        self._calls += 1
        self._total += seconds
        self._slowest = max(self._slowest, seconds)
        self._classes[class_of(seconds)] += 1
        self._sum_up(seconds, processed, failed)

    def report(self) -> HandlerReport:
        """What is known now."""
        return HandlerReport(
            handler=self.handler,
            since=self._since,
            processed=self._processed,
            failed=self._failed,
            calls=self._calls,
            seconds=self._total,
            slowest=self._slowest,
            classes=dict(self._classes),
            last_error=self._error,
            last_error_at=self._error_at,
        )

    def _sum_up(self, seconds: float, processed: int, failed: int) -> None:
        tally = self._tally
        tally.processed += processed
        tally.failed += failed
        tally.calls += 1
        tally.seconds += seconds
        tally.slowest = max(tally.slowest, seconds)
        if tally.processed + tally.failed < self._summary_every:
            return
        log.info(
            "handler.summary",
            handler=self.handler,
            messages=tally.processed + tally.failed,
            processed=tally.processed,
            failed=tally.failed,
            calls=tally.calls,
            mean_ms=round(tally.seconds / tally.calls * 1000, 3),
            slowest_ms=round(tally.slowest * 1000, 3),
        )
        self._tally = _Tally()


def _told(error: Exception) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_stages: dict[str, HandlerStage] = {}


def stage_of(handler: str) -> HandlerStage:
    """The stage of a handler, named `service/name`: the same one whoever asks, for as long as the process lives."""
    stage = _stages.get(handler)
    if stage is None:
        stage = _stages[handler] = HandlerStage(handler)
    return stage


def reports() -> list[HandlerReport]:
    """Of all handlers of this process."""
    return [stage.report() for stage in _stages.values()]
