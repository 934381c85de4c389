"""True increases of counters (meters), by the policy HOLD_THEN_RESET.

A reading below the accepted level is held as suspect. If a later one is at or above the level again, the held ones
were a glitch: they are ignored, and consumption is the increase over them. If `CONFIRM` readings in a row stay below
the level without decreasing themselves, the counter was reset: the level moves down, and what grew among the held
readings counts. The jump itself never does: neither a negative step nor the whole new reading is ever booked.

An increase belongs to the span from the accepted reading before (`since`) to the reading that brought it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.summary import NEVER, Floats, Ints, Kind, Rows, unbounded

CONFIRM: Final = 3
"""Readings that must agree on the new, lower level before it is believed."""

METER: Final = np.dtype(
    [
        ("level_time", "<i8"),
        ("level", "<f8"),
        ("held", "<i8"),
        ("held_time", "<i8", (CONFIRM,)),
        ("held_value", "<f8", (CONFIRM,)),
    ]
)
"""What is remembered of a counter between readings: the last accepted one (`NEVER` when there is none), and the
suspects."""


class Correction(NamedTuple):
    """A reading that was not taken at its word. `kind`: GLITCH (ignored) or RESET (the counter started anew there)."""

    series: int
    time: int
    value: float
    level: float
    kind: str


@dataclass(slots=True)
class Increases:
    """The accepted readings: their places in the columns (ascending), the increase that each brought, and since
    when."""

    at: Ints
    amount: Floats
    since: Ints
    corrections: list[Correction]


@unbounded
def increases(kinds: Ints, meters: Rows, series: Ints, time: Ints, value: Floats) -> Increases | None:
    """Takes readings of counters in (others are passed over) and moves their `meters` (indexed by series) on.

    (series, time) must be strictly increasing, and later than what the meters have seen. None when there is no counter.
    """
    places = np.flatnonzero(kinds[series] == Kind.COUNTER)
    if not len(places):
        return None
    who, when, what = series[places], time[places], value[places]
    head = np.ones(len(who), bool)
    head[1:] = who[1:] != who[:-1]
    heads = np.flatnonzero(head)
    owners = who[heads]
    before, since = np.empty(len(who)), np.empty(len(who), np.int64)
    before[1:], since[1:] = what[:-1], when[:-1]
    before[heads], since[heads] = meters["level"][owners], meters["level_time"][owners]
    unseen = since == NEVER
    before[unseen] = what[unseen]
    amount = what - before
    odd = np.minimum.reduceat(amount, heads) < 0
    odd |= meters["held"][owners] > 0
    tails = np.append(heads[1:], len(who)) - 1
    plain = ~odd
    meters["level_time"][owners[plain]] = when[tails[plain]]
    meters["level"][owners[plain]] = what[tails[plain]]
    if not odd.any():
        return Increases(places, amount, since, [])
    corrections: list[Correction] = []
    accepted = np.repeat(plain, tails - heads + 1)
    for run in np.flatnonzero(odd):
        first, last = int(heads[run]), int(tails[run]) + 1
        for place, gain, start in _judge(
            int(owners[run]), meters, when[first:last].tolist(), what[first:last].tolist(), corrections
        ):
            accepted[first + place], amount[first + place], since[first + place] = True, gain, start
    return Increases(places[accepted], amount[accepted], since[accepted], corrections)


def _judge(
    series: int, meters: Rows, times: Sequence[int], values: Sequence[float], corrections: list[Correction]
) -> list[tuple[int, float, int]]:
    """The same for one counter, reading by reading: (place, increase, since) of each that is accepted."""
    meter = meters[series]
    level_time, level = int(meter["level_time"]), float(meter["level"])
    held = [(int(meter["held_time"][n]), float(meter["held_value"][n])) for n in range(int(meter["held"]))]
    accepted: list[tuple[int, float, int]] = []
    for place, (time, value) in enumerate(zip(times, values, strict=True)):
        if level_time == NEVER:
            accepted.append((place, 0.0, NEVER))
            level_time, level = time, value
        elif value >= level:
            corrections.extend(Correction(series, at, seen, level, "GLITCH") for at, seen in held)
            held.clear()
            accepted.append((place, value - level, level_time))
            level_time, level = time, value
        else:
            if held and value < held[-1][1]:
                corrections.extend(Correction(series, at, seen, level, "GLITCH") for at, seen in held)
                held.clear()
            held.append((time, value))
            if len(held) == CONFIRM:
                corrections.append(Correction(series, held[0][0], held[0][1], level, "RESET"))
                accepted.append((place, value - held[0][1], held[0][0]))
                level_time, level = time, value
                held.clear()
    meter["level_time"], meter["level"], meter["held"] = level_time, level, len(held)
    for n, (at, seen) in enumerate(held):
        meter["held_time"][n], meter["held_value"][n] = at, seen
    return accepted
