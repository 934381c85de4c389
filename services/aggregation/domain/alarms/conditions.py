"""How readings are evaluated: one function for each kind of rule, over the evaluated readings of one series in order.

`times` are strictly increasing and newer than `last`, the reading evaluated before them (time NEVER: none).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, chain

from services.aggregation.domain.alarms.rule import (
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.alarms.rule_state import RuleState
from services.aggregation.domain.times import HOUR, NEVER

Last = tuple[int, float]
_ROUNDING = 1e-9
REFERENCES = 16
"""Readings kept of a RateOfChange's `over`, so that what is compared is at most a sixteenth farther apart."""


def full_bound(level: float) -> float:
    """At or above the level is above this."""
    return math.nextafter(level, -math.inf)


def evaluate_counter(
    state: RuleState, times: Sequence[int], values: Sequence[float], amounts: Sequence[float], since: int, last: Last
) -> None:
    """The same for accepted values of a counter; each has added its amount. A change is what was counted: values
    before one from which counting went on elsewhere are moved there."""
    if isinstance(state.rule.condition, RateOfChange) and NEVER not in (since, last[0]):
        left = list(accumulate(reversed(amounts), initial=0.0))[::-1]
        start = values[-1] - left[0]
        shift = start - last[1]
        if abs(shift) > _ROUNDING * max(abs(values[-1]), abs(last[1])):
            state.memory = [one + shift if place % 2 else one for place, one in enumerate(state.memory)]
            values = [values[-1] - more for more in left[1:]]
        last = since, start
    evaluate(state, times, values, last)


def evaluate(state: RuleState, times: Sequence[int], values: Sequence[float], last: Last) -> None:
    """Takes the readings in."""
    match state.rule.condition:
        case Threshold(above=above, limit=limit, hysteresis=hysteresis, min_duration=duration):
            sign = 1.0 if above else -1.0
            _beyond(state, times, values, sign, sign * limit, sign * limit - hysteresis, duration)
        case ContainerFull(level=level):
            bound = full_bound(level)
            _beyond(state, times, values, 1.0, bound, bound, 0)
        case FlatLine() as flat:
            _flat(state, times, values, last, flat)
        case RateOfChange(over=0) as rate:
            _steps(state, times, values, last, rate)
        case RateOfChange() as rate:
            _rates(state, times, values, rate)
        case ContainerEmptied():
            _emptied(state, times, values, last)
        case _:
            raise AssertionError("windows and silence are not evaluated by readings")


def evaluate_silence(
    state: RuleState, times: Sequence[int], values: Sequence[float], after: int, accepted: int
) -> None:
    """What readings that were accepted by `accepted` (the wall clock) say of a series that was found quiet. Late ones
    that are older than `after` themselves say that it was heard of, and is quiet still."""
    if state.alarm is None:
        return
    place = bisect_right(times, accepted - after)
    if place == len(times):
        state.alarm.update, state.alarm.last_value = times[-1], values[-1]
        state.ledger.touched(state.alarm)
        return
    state.clear(times[place], values[place])


def _beyond(
    state: RuleState,
    times: Sequence[int],
    values: Sequence[float],
    sign: float,
    bound: float,
    back: float,
    duration: int,
) -> None:
    """Met above `bound`, over at `back` or below; `sign` turns the values that way round."""

    def farther(value: float, extreme: float) -> bool:
        return sign * value > sign * extreme

    nearest = min(values) if sign > 0 else -max(values)
    if state.alarm is not None and state.alarm.raised is not None and nearest > back:
        # It lasts: all at once.
        state.see(times[-1], max(values) if sign > 0 else min(values), farther)
        state.alarm.last_value = values[-1]
        return
    for at, value in zip(times, values, strict=True):
        alarm = state.alarm
        if alarm is None:
            if sign * value > bound:
                state.begin(at, at, value, pending=duration > 0)
        elif alarm.raised is not None:
            if sign * value <= back:
                state.clear(at, value)
            else:
                state.see(at, value, farther)
        elif sign * value > bound:
            state.see(at, value, farther)
            if at >= alarm.start + duration:
                state.raise_(at, value)
        else:
            state.forget()


def _flat(state: RuleState, times: Sequence[int], values: Sequence[float], last: Last, rule: FlatLine) -> None:
    """Memory: time and value of the first reading of the run, where that is not the last one evaluated."""
    since, first = (int(state.memory[0]), state.memory[1]) if state.memory else last
    for at, value in zip(times, values, strict=True):
        if since == NEVER or not abs(value - first) <= rule.tolerance:
            if state.alarm is not None:
                state.clear(at, value)
            since, first = at, value
        elif state.alarm is not None:
            state.see(at, value, _away_from(first))
        elif at - since >= rule.duration:
            state.begin(since, at, value, shown=first)
    state.remember([] if since == times[-1] else [float(since), first])


def _away_from(first: float) -> Callable[[float, float], bool]:
    return lambda value, extreme: abs(value - first) > abs(extreme - first)


def _steep(rate: float, rule: RateOfChange) -> bool:
    if rule.direction is Direction.RISING:
        return rate > rule.limit_per_hour
    if rule.direction is Direction.FALLING:
        return -rate > rule.limit_per_hour
    return abs(rate) > rule.limit_per_hour


def _compared(state: RuleState, at: int, value: float, before: Last, rule: RateOfChange) -> None:
    rate = (value - before[1]) / ((at - before[0]) / HOUR)
    alarm, steepness = state.alarm, abs(rate)
    if not _steep(rate, rule):
        if alarm is not None:
            state.clear(at, value)
    elif alarm is None:
        state.begin(at, at, value, shown=steepness, peak=steepness)
    else:
        steeper = alarm.peak is None or steepness > alarm.peak
        state.see(at, value, lambda _new, _old: steeper)
        if steeper:
            alarm.peak = steepness


def _steps(state: RuleState, times: Sequence[int], values: Sequence[float], last: Last, rule: RateOfChange) -> None:
    before = last
    for at, value in zip(times, values, strict=True):
        if before[0] != NEVER:
            _compared(state, at, value, before, rule)
        before = at, value


def _rates(state: RuleState, times: Sequence[int], values: Sequence[float], rule: RateOfChange) -> None:
    """Memory: the readings to compare with, oldest first: times and values in turn."""
    kept = [(int(at), value) for at, value in zip(state.memory[::2], state.memory[1::2], strict=True)]
    spacing = max(rule.over // REFERENCES, 1)
    known = [*(value for _, value in kept), *values]
    if state.alarm is None and (max(known) - min(known)) * HOUR <= rule.limit_per_hour * rule.over:
        # Nothing in it can be steep enough: only what later readings are compared with.
        place = 0
        while place < len(times):
            if not kept or times[place] - kept[-1][0] >= spacing:
                kept.append((times[place], values[place]))
            place = bisect_left(times, kept[-1][0] + spacing, place + 1)
        _drop(kept, times[-1] - rule.over)
    else:
        for at, value in zip(times, values, strict=True):
            _drop(kept, at - rule.over)
            if kept and kept[0][0] <= at - rule.over:
                _compared(state, at, value, kept[0], rule)
            if not kept or at - kept[-1][0] >= spacing:
                kept.append((at, value))
        _drop(kept, times[-1] - rule.over)
    state.remember(list(chain.from_iterable((float(at), value) for at, value in kept)))


def _drop(kept: list[Last], until: int) -> None:
    """All but the newest of those at or before `until`."""
    while len(kept) > 1 and kept[1][0] <= until:
        kept.pop(0)


def _emptied(state: RuleState, times: Sequence[int], values: Sequence[float], last: Last) -> None:
    """Memory: since when it has not been empty, once it has been."""
    empty = last[0] != NEVER and last[1] <= 0
    for at, value in zip(times, values, strict=True):
        if value <= 0 and not empty:
            _once(state, at, value)
        elif value > 0 and empty:
            state.remember([float(at)])
        empty = value <= 0


def evaluate_late_emptying(state: RuleState, at: int, last: Last) -> None:
    """A container was emptied at a time for which newer readings have been evaluated already. It is another emptying
    unless the level has not been seen above 0 between the last one and it."""
    filled_since = int(state.memory[0]) if state.memory else NEVER
    if last[1] > 0 and at > filled_since:
        _once(state, at, 0.0)
        state.remember([float(last[0])])


def _once(state: RuleState, at: int, value: float) -> None:
    state.begin(at, at, value)
    state.clear(at, value)
