"""What people see of a span: statistics from its summary and the readings around it.

Time-weighted mean of the span [a, b): the integral of the interpolated signal over the known time in it, divided by
that time. Between neighbouring readings the signal is a straight line (LEVEL: the earlier value), the segments that
cross a or b are cut there (OPC UA's *interpolated bounding values*), and a segment longer than max_gap is unknown
time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import NEVER

NOWHERE: Final = (NEVER, 0.0)


class Edge(NamedTuple):
    """An increase of a counter between two accepted readings, one of them outside of the span."""

    since: int
    until: int
    amount: float


class Neighbours(NamedTuple):
    """The readings before and after a span (time, value; `NOWHERE` where unknown), and the counter's increase that
    arrives after it."""

    before: tuple[int, float] = NOWHERE
    after: tuple[int, float] = NOWHERE
    edge_after: Edge | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of `SUMMARY` as Python values, in the same order."""

    count: int = 0
    sum: float = 0.0
    min: float = 0.0
    max: float = 0.0
    first_time: int = NEVER
    first: float = 0.0
    last_time: int = NEVER
    last: float = 0.0
    covered: int = 0
    integral: float = 0.0
    gap: int = 0
    consumption: float = 0.0
    edge_from: int = NEVER
    edge_to: int = NEVER
    edge: float = 0.0
    level_time: int = NEVER
    level: float = 0.0
    pace: float = 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one or several series over one span. `covered` and `length` are microseconds, summed over the series;
    `integral` is value times seconds; `expected` is the number of readings that should have come (None: unknown).

    Values near the end of what a double holds (1.8e308) can have sums beyond it: what follows from them is None."""

    count: int = 0
    sum: float = 0.0
    min: float | None = None
    max: float | None = None
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None
    covered: int = 0
    integral: float = 0.0
    length: int = 0
    longest_gap: int = 0
    expected: float | None = None
    consumption: float | None = None
    series: int = field(default=0)
    """How many series contributed."""

    @property
    def mean(self) -> float | None:
        """Arithmetic mean of the readings."""
        return finite(self.sum / self.count) if self.count else None

    @property
    def time_weighted_mean(self) -> float | None:
        """Mean over the covered time; None when no time is covered."""
        return finite(self.integral / (self.covered * 1e-6)) if self.covered else None

    @property
    def covered_ratio(self) -> float:
        """Covered time / span, 0 to 1."""
        return min(self.covered / self.length, 1.0) if self.length else 0.0

    @property
    def received_ratio(self) -> float | None:
        """Received / expected readings, 0 to 1; None when nothing is known about how many to expect."""
        return min(self.count / self.expected, 1.0) if self.expected else None

    @property
    def known(self) -> bool:
        """Whether anything at all is known about the span."""
        return self.count > 0 or self.covered > 0


def finite(value: float) -> float | None:
    """The value; None when it is infinite or no number."""
    return value if math.isfinite(value) else None


def segment(
    kind: int, max_gap: int, start: tuple[int, float], end: tuple[int, float], a: int, b: int
) -> tuple[int, float]:
    """Known time and integral of the part of the segment from `start` to `end` that lies in [a, b)."""
    (t0, v0), (t1, v1) = start, end
    if t0 == NEVER or t1 == NEVER or not 0 < t1 - t0 <= max_gap:
        return 0, 0.0
    x, y = max(t0, a), min(t1, b)
    if y <= x:
        return 0, 0.0
    if kind == Kind.LEVEL:
        return y - x, v0 * (y - x) * 1e-6
    slope = (v1 - v0) / (t1 - t0)
    return y - x, (v0 + slope * ((x - t0) + (y - t0)) * 0.5) * (y - x) * 1e-6


def edge_share(max_gap: int, edge: Edge | None, a: int, b: int) -> float:
    """The part of the increase that belongs to [a, b): by time where its length is known (up to max_gap), else all of
    it to the span in which it was seen."""
    if edge is None or edge.since == NEVER or edge.until == NEVER:
        return 0.0
    length = edge.until - edge.since
    if length > max_gap:
        return edge.amount if a <= edge.until < b else 0.0
    return edge.amount * max(0, min(edge.until, b) - max(edge.since, a)) / length


def statistics(
    summary: Summary, a: int, b: int, *, kind: int, max_gap: int, interval: int, around: Neighbours
) -> Statistics:
    """Statistics of the span [a, b) of one series, whose readings `summary` holds. `interval` 0: not known."""
    covered, integral = summary.covered, summary.integral
    if summary.count:
        head = segment(kind, max_gap, around.before, (summary.first_time, summary.first), a, b)
        tail = segment(kind, max_gap, (summary.last_time, summary.last), around.after, a, b)
        gap = max(summary.gap, summary.first_time - a, b - summary.last_time)
    else:
        head, tail = segment(kind, max_gap, around.before, around.after, a, b), (0, 0.0)
        gap = b - a
    covered += head[0] + tail[0]
    integral += head[1] + tail[1]
    consumption = None
    if kind == Kind.COUNTER and (summary.count or covered):
        own = Edge(summary.edge_from, summary.edge_to, summary.edge)
        consumption = summary.consumption + edge_share(max_gap, own, a, b)
        consumption = finite(consumption + edge_share(max_gap, around.edge_after, a, b))
    some = summary.count > 0
    return Statistics(
        count=summary.count,
        sum=summary.sum,
        min=summary.min if some else None,
        max=summary.max if some else None,
        first=(summary.first_time, summary.first) if some else None,
        last=(summary.last_time, summary.last) if some else None,
        covered=covered,
        integral=integral,
        length=b - a,
        longest_gap=gap,
        expected=(b - a) / interval if interval > 0 else None,
        consumption=consumption,
        series=1 if some or covered else 0,
    )


def combine(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of several series together, over the same span: the mean is that of all readings, the time-weighted
    mean that of all covered time, the consumption the sum, the longest gap the longest of any series. How many readings
    to expect is known when it is for each of them. Associative: parts may be combined in groups."""
    some = [part for part in parts if part.count]
    consumptions = [part.consumption for part in parts if part.consumption is not None]
    expected = [part.expected for part in parts if part.expected is not None]
    return Statistics(
        count=sum(part.count for part in parts),
        sum=sum(part.sum for part in parts),
        min=min((part.min for part in some if part.min is not None), default=None),
        max=max((part.max for part in some if part.max is not None), default=None),
        first=min((part.first for part in some if part.first is not None), default=None),
        last=max((part.last for part in some if part.last is not None), default=None),
        covered=sum(part.covered for part in parts),
        integral=sum(part.integral for part in parts),
        length=sum(part.length for part in parts),
        longest_gap=max((part.longest_gap for part in parts), default=0),
        expected=sum(expected) if expected and len(expected) == len(parts) else None,
        consumption=sum(consumptions) if consumptions else None,
        series=sum(part.series for part in parts),
    )
