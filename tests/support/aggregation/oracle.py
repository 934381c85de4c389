"""What becomes of readings, told by the formulas of docs/aggregation.md and nothing else: exact fractions, one reading
at a time. Knows no window that is stored and no state that is kept.

Beside `reference` (windows that hold readings), this answers for any span, with or without readings, and says which
readings count when they come late.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

LEVEL = 3

Step = tuple[int, int, Fraction]
"""(since, until, increase) between two accepted readings of a counter."""


@dataclass
class Fate:
    """What becomes of the readings of one series, in the order in which they arrive. Times in microseconds."""

    lateness: int
    newest: int | None = None
    counted: dict[int, float] = field(default_factory=dict[int, float])
    too_late: dict[int, float] = field(default_factory=dict[int, float])
    repeats: int = 0

    def arrive(self, time: int, value: float) -> None:
        """First wins, whatever became of the first. Older than the newest one minus the lateness is too late."""
        self.newest = time if self.newest is None else max(self.newest, time)
        if time in self.counted or time in self.too_late:
            self.repeats += 1
        elif time < self.newest - self.lateness:
            self.too_late[time] = value
        else:
            self.counted[time] = value


@dataclass(frozen=True)
class Answer:
    """Of one span: covered time (microseconds), integral (value x microseconds), what was received and expected."""

    count: int
    covered: int
    integral: Fraction
    received_ratio: Fraction
    covered_ratio: Fraction
    arithmetic_mean: Fraction | None
    time_weighted_mean: Fraction | None


def answer(kept: dict[int, float], kind: int, interval: int, max_gap: int, start: int, end: int) -> Answer:
    """The span [start, end) of a series whose readings are `kept`."""
    readings = sorted(kept.items())
    # Only neighbours that touch the span can matter; the rest of a long series need not be looked at.
    first = max(bisect_left(readings, (start,)) - 1, 0)
    last = bisect_left(readings, (end,)) + 1
    inside = [Fraction(value) for time, value in readings[first:last] if start <= time < end]
    covered, integral = 0, Fraction(0)
    for (t0, before), (t1, after) in pairwise(readings[first:last]):
        a, b = max(t0, start), min(t1, end)
        if t1 - t0 > max_gap or b <= a:
            continue
        v0, v1 = Fraction(before), Fraction(after)
        covered += b - a
        # The straight line at the middle of the part inside; a level keeps the earlier value.
        middle = v0 if kind == LEVEL else v0 + (v1 - v0) * (Fraction(a + b, 2) - t0) / (t1 - t0)
        integral += middle * (b - a)
    return Answer(
        count=len(inside),
        covered=covered,
        integral=integral,
        received_ratio=min(Fraction(len(inside) * interval, end - start), Fraction(1)),
        covered_ratio=Fraction(covered, end - start),
        arithmetic_mean=sum(inside, Fraction(0)) / len(inside) if inside else None,
        time_weighted_mean=integral / covered if covered else None,
    )


def consumption(steps: list[Step], max_gap: int, start: int, end: int) -> Fraction:
    """What a counter's increases come to in [start, end): by time where a step is no longer than `max_gap`, else where
    it was seen."""
    total = Fraction(0)
    for since, until, amount in steps:
        if until - since > max_gap:
            total += amount if start <= until < end else 0
        else:
            total += amount * Fraction(max(0, min(until, end) - max(since, start)), until - since)
    return total


def growth(kept: dict[int, float]) -> list[Step]:
    """The steps of a counter that never decreases."""
    readings = [(time, Fraction(value)) for time, value in sorted(kept.items())]
    return [(t0, t1, v1 - v0) for (t0, v0), (t1, v1) in pairwise(readings)]
