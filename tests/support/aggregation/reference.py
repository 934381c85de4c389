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


@dataclass(frozen=True)
class Counting:
    """Rules of a counter: one of HOLD, RESET, ROLLOVER, REJECT; `cap` per hour, 0: none."""

    policy: str = "HOLD"
    register: int = 0
    cap: int = 0
    cautious: bool = False


def meter_steps(
    readings: list[tuple[int, Fraction]], rules: Counting = Counting()
) -> tuple[list[tuple[int, int, Fraction]], dict[int, str]]:
    """(since, until, increase) of a counter, and by event time the readings that were not taken at their word (those
    that are judged). Reads ahead where it wants to know what comes next."""

    def fits(old: tuple[int, Fraction], new: tuple[int, Fraction]) -> bool:
        return not rules.cap or new[1] - old[1] <= Fraction(rules.cap * (new[0] - old[0]), 3_600_000_000)

    def rolled(old: tuple[int, Fraction], new: tuple[int, Fraction]) -> Fraction | None:
        step = rules.register - old[1] + new[1]
        if rules.policy != "ROLLOVER" or not 0 <= new[1] < old[1] <= rules.register:
            return None
        if rules.cap:
            return step if fits((old[0], Fraction(0)), (new[0], step)) else None
        return step if 2 * step < rules.register else None

    def believed(old: tuple[int, Fraction], new: tuple[int, Fraction]) -> Fraction | None:
        if rules.cautious:
            return None
        if rules.policy == "RESET":
            return new[1] if new[1] >= 0 and fits((old[0], Fraction(0)), new) else None
        return rolled(old, new)

    steps: list[tuple[int, int, Fraction]] = []
    marks: dict[int, str] = {}
    level = readings[0]
    suspects: list[tuple[int, Fraction]] = []

    def glitch() -> None:
        marks.update((time, "GLITCH") for time, _ in suspects)
        suspects.clear()

    for place, reading in enumerate(readings[1:], start=1):
        time, value = reading
        following = readings[place + 1] if place + 1 < len(readings) else None
        goes_on = bool(suspects) and value >= suspects[-1][1] and fits(suspects[-1], reading)
        jumped = bool(suspects) and suspects[0][1] >= level[1]
        if goes_on and (jumped or value < level[1]):
            suspects.append(reading)
            if len(suspects) == 3:
                first = suspects[0]
                over = rolled(level, first)
                if over is not None:
                    marks[first[0]] = "ROLLOVER"
                    steps.append((level[0], time, over + value - first[1]))
                else:
                    marks[first[0]] = "JUMP" if jumped else "RESET"
                    steps.append((first[0], time, value - first[1]))
                level = reading
                suspects.clear()
        elif value >= level[1] and fits(level, reading):
            glitch()
            steps.append((level[0], time, value - level[1]))
            level = reading
        elif value < level[1] and rules.policy == "REJECT":
            marks[time] = "REJECTED"
        elif value < level[1] and (gain := believed(level, reading)) is not None:
            glitch()
            if following is not None and following[1] >= level[1] and fits(level, following):
                marks[time] = "REVOKED"
            else:
                marks[time] = rules.policy
                steps.append((level[0], time, gain))
                level = reading
        else:
            glitch()
            suspects.append(reading)
    return steps, marks


def window(
    kept: dict[int, Fraction], kind: int, max_gap: int, start: int, end: int, rules: Counting = Counting()
) -> Expected | None:
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
        for since, until, amount in meter_steps(readings, rules)[0]:
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
