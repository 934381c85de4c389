"""What windows should hold, computed the slow and obvious way: one reading, one segment, one window at a time."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

GAUGE, COUNTER, LEVEL = 1, 2, 3


@dataclass
class Expected:
    """Statistics of a window as exact fractions."""

    count: int
    total: Fraction
    least: Fraction
    most: Fraction
    first: tuple[int, Fraction]
    last: tuple[int, Fraction]
    covered: int
    integral: Fraction
    longest_gap: int
    consumption: Fraction


def first_wins(arrivals: list[tuple[int, float]]) -> dict[int, Fraction]:
    """One value per event time: the one that arrived first."""
    kept: dict[int, Fraction] = {}
    for time, value in arrivals:
        kept.setdefault(time, Fraction(value))
    return kept


def meter_steps(readings: list[tuple[int, Fraction]]) -> list[tuple[int, int, Fraction]]:
    """(since, until, increase) of a counter under HOLD_THEN_RESET with three readings to confirm a reset."""
    steps: list[tuple[int, int, Fraction]] = []
    level: tuple[int, Fraction] | None = None
    suspects: list[tuple[int, Fraction]] = []
    for time, value in readings:
        if level is None:
            level = (time, value)
        elif value >= level[1]:
            steps.append((level[0], time, value - level[1]))
            level, suspects = (time, value), []
        else:
            if suspects and value < suspects[-1][1]:
                suspects = []
            suspects.append((time, value))
            if len(suspects) == 3:
                steps.append((suspects[0][0], time, value - suspects[0][1]))
                level, suspects = (time, value), []
    return steps


def window(kept: dict[int, Fraction], kind: int, max_gap: int, start: int, end: int) -> Expected | None:
    """The window [start, end) of a series whose readings are `kept`; None without readings in it."""
    readings = sorted(kept.items())
    inside = [(time, value) for time, value in readings if start <= time < end]
    if not inside:
        return None
    covered, integral = 0, Fraction(0)
    for (t0, v0), (t1, v1) in pairwise(readings):
        a, b = max(t0, start), min(t1, end)
        if t1 - t0 > max_gap or b <= a:
            continue
        covered += b - a
        if kind == LEVEL:
            integral += v0 * (b - a)
        else:
            at_a = v0 + (v1 - v0) * Fraction(a - t0, t1 - t0)
            at_b = v0 + (v1 - v0) * Fraction(b - t0, t1 - t0)
            integral += (at_a + at_b) / 2 * (b - a)
    consumption = Fraction(0)
    if kind == COUNTER:
        for since, until, amount in meter_steps(readings):
            if until - since > max_gap:
                consumption += amount if start <= until < end else 0
            else:
                consumption += amount * Fraction(max(0, min(until, end) - max(since, start)), until - since)
    marks = [start, *(time for time, _ in inside), end]
    return Expected(
        count=len(inside),
        total=sum((value for _, value in inside), Fraction(0)),
        least=min(value for _, value in inside),
        most=max(value for _, value in inside),
        first=inside[0],
        last=inside[-1],
        covered=covered,
        integral=integral / 1_000_000,
        longest_gap=max(b - a for a, b in pairwise(marks)),
        consumption=consumption,
    )
