"""When a failed message is tried again, and when it has been tried enough."""

import random
from dataclasses import dataclass
from datetime import timedelta


class Permanent(Exception):
    """The message can never be processed: it goes to the dead letters at once, with this reason; `code` is what
    programs know the failure by."""

    def __init__(self, reason: str, *, code: str = "Permanent") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class RetryAfter(Exception):
    """The message shall be tried again after `delay`. Counts as an attempt."""

    def __init__(self, delay: timedelta, reason: str = "asked to retry later") -> None:
        super().__init__(reason)
        self.delay = delay
        self.reason = reason


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter, bounded in delay and in attempts.

    The n-th failure waits `base * factor**(n-1)`, at most `cap`, of which a random share of up to `jitter` is taken
    off. `Unavailable` (our own database or broker is down) is retried without counting as an attempt: an outage
    must not turn sound messages into dead letters. `max_deliveries` bounds what attempts cannot see, a message that
    kills the process before it can be judged.
    """

    max_attempts: int = 8
    base: timedelta = timedelta(milliseconds=500)
    factor: float = 2.0
    cap: timedelta = timedelta(seconds=60)
    jitter: float = 0.25
    max_deliveries: int = 1000

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.max_deliveries < self.max_attempts:
            raise ValueError("a message needs at least one attempt, and as many deliveries as attempts")
        if self.base <= timedelta(0) or self.cap < self.base or self.factor < 1 or not 0 <= self.jitter < 1:
            raise ValueError("base > 0, cap >= base, factor >= 1 and 0 <= jitter < 1 are required")

    def delay(self, failures: int, *, randomness: float | None = None) -> timedelta:
        """How long to wait after the `failures`-th failure (1 is the first). `randomness` is in [0, 1)."""
        share = random.random() if randomness is None else randomness
        # Beyond 64 doublings every cap is reached; unbounded powers would overflow.
        seconds = self.base.total_seconds() * self.factor ** min(max(failures, 1) - 1, 64)
        return timedelta(seconds=min(seconds, self.cap.total_seconds()) * (1 - self.jitter * share))
