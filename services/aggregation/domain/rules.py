"""How windows are kept: steps, grace, lateness, gaps."""

from dataclasses import dataclass
from typing import Final

from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND

BASE: Final = 5 * SECOND
"""Spans that are asked for start and end at multiples of this."""


@dataclass(frozen=True, slots=True)
class Rules:
    """All times in microseconds."""

    steps: tuple[int, ...] = (MINUTE, 15 * MINUTE, HOUR, DAY)
    """Steps of the stored windows, ascending, each a multiple of the one before."""
    announced: tuple[int, ...] = (MINUTE, 15 * MINUTE, HOUR, DAY)
    """Steps whose closed windows are published."""
    announce_fine_within: int = 10 * MINUTE
    """Windows shorter than 15 minutes are published only while they are no older than this (a replay is no news)."""
    grace: int = 2 * SECOND
    """A window closes when a reading this much after its end has come."""
    edge_wait: int = MINUTE
    """How long the close of a quiet series' window waits for the reading that would complete its edge, at the most."""
    lateness: int = HOUR
    """Readings further behind the newest one of their series are kept, but no longer change windows."""
    gap_intervals: int = 3
    """A segment longer than this many intervals is unknown time."""
    default_max_gap: int = 15 * MINUTE
    """The same while the interval is not known."""

    def max_gap(self, interval: int) -> int:
        """The longest segment that counts as known; `interval` 0: not known."""
        return self.gap_intervals * interval if interval > 0 else self.default_max_gap

    def announces(self, step: int, end: int, now: int) -> bool:
        """Whether a window that closes now is published."""
        oldest = self.oldest_announced(step, now)
        return oldest is not None and end >= oldest

    def oldest_announced(self, step: int, now: int) -> int | None:
        """The end of the oldest window of this step that is published when it closes now; None: none is."""
        if step not in self.announced:
            return None
        return -(2**62) if step >= 15 * MINUTE else now - self.announce_fine_within
