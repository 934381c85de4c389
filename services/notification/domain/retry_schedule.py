"""When a failed attempt is made again: the schedule is the floor, what the provider asks for may be more."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain, repeat

_SECONDS = re.compile(r"\s*(\d{1,12})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """Delays after the first, second... failure; after the last of them there are no more attempts.

    The wait is `max(delay, what the provider asked for, the provider's floor)`, at most `cap`, plus a random share of
    up to `jitter` of itself. Jitter comes after the cap and only lengthens: a floor stays a floor.
    """

    delays: tuple[timedelta, ...] = (timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8))
    cap: timedelta = timedelta(hours=24)
    jitter: float = 0.1

    @property
    def max_attempts(self) -> int:
        """The first attempt and its retries."""
        return len(self.delays) + 1

    def lasting(self, total: timedelta) -> "RetrySchedule":
        """The same for as long as `total`: the last delay is repeated, or the last ones are left out."""
        delays, left = list[timedelta](), total
        for delay in chain(self.delays, repeat(self.delays[-1])):
            if left <= timedelta(0):
                break
            delays.append(delay)
            left -= delay
        return replace(self, delays=tuple(delays))

    def wait(
        self,
        failures: int,
        *,
        asked: timedelta | None = None,
        floor: timedelta | None = None,
        randomness: float = 0.0,
    ) -> timedelta | None:
        """How long to wait after the `failures`-th failure (from 1); None when that was the last attempt.
        `randomness` is in [0, 1)."""
        if failures > len(self.delays):
            return None
        longest = max(self.delays[failures - 1], asked or timedelta(0), floor or timedelta(0))
        return min(longest, self.cap) * (1 + self.jitter * randomness)


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """A `Retry-After` header (seconds, or an HTTP date) as a time from `now`, never negative; None when there is none
    or it is malformed."""
    if not value:
        return None
    if match := _SECONDS.fullmatch(value):
        return timedelta(seconds=int(match[1]))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(at - now, timedelta(0))
