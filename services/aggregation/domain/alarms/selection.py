"""Which readings are evaluated, and what can be said of them all at once."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.alarms.rule_index import BatchProfile
from services.aggregation.domain.columns import Bools, Floats, Ints, heads_of, unbounded
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.times import HOUR, NEVER
from services.aggregation.domain.windows.engine import Engine


class LastReadings(NamedTuple):
    """By local index: the reading that was evaluated last (time NEVER: none)."""

    time: Ints
    value: Floats


class SelectedReadings(NamedTuple):
    """Readings to evaluate: sorted by series, each series' strictly in the order of time and newer than its last one.
    `owners`: the series; `heads` and `tails`: where each begins and ends (inclusive)."""

    series: Ints
    time: Ints
    value: Floats
    owners: Ints
    heads: Ints
    tails: Ints


def newest_readings(engine: Engine) -> LastReadings:
    """The newest reading of each series, from what the engine holds: the last one evaluated, since all are that are
    newer than those before."""
    states = engine.states.rows
    time, value = states["newest"].copy(), states["settled"].copy()
    buffer = engine.buffer
    newest = buffer.time == time[buffer.series]
    value[buffer.series[newest]] = buffer.value[newest]
    return LastReadings(time, value)


def select(fresh: Readings, watched: Bools, last: LastReadings) -> SelectedReadings | None:
    """Those of watched series that are newer than everything of their series before them (in order of arrival)."""
    mine = watched[fresh.series]
    if not mine.any():
        return None
    own = fresh if mine.all() else fresh.take(mine)
    small = own.series.astype(np.uint16) if len(watched) <= 2**16 else own.series
    own = own.take(np.argsort(small, kind="stable"))
    newer = _newer(own, last)
    if not newer.all():
        own = own.take(newer)
    if not len(own.time):
        return None
    heads = heads_of(own.series, np.zeros_like(own.series))
    tails = np.append(heads[1:], len(own.time)) - 1
    return SelectedReadings(own.series, own.time, own.value, own.series[heads], heads, tails)


def _newer(own: Readings, last: LastReadings) -> Bools:
    before = np.empty_like(own.time)
    before[1:] = own.time[:-1]
    heads = heads_of(own.series, np.zeros_like(own.series))
    before[heads] = last.time[own.series[heads]]
    newer = own.time > before
    if newer.all():
        return newer
    tails = np.append(heads[1:], len(own.time))
    for run in np.unique(np.searchsorted(heads, np.flatnonzero(~newer), side="right") - 1).tolist():
        span = slice(int(heads[run]), int(tails[run]))
        newer[span] = own.time[span] > np.maximum.accumulate(before[span])
    return newer


def profile_of(selected: SelectedReadings, last: LastReadings, *, steps: bool) -> BatchProfile:
    """Of each series one row; without `steps` as if there were none between neighbours."""
    _, _, value, owners, heads, _ = selected
    before = np.where(last.time[owners] == NEVER, np.inf, last.value[owners])
    high, low = np.maximum.reduceat(value, heads), np.minimum.reduceat(value, heads)
    if not steps:
        none = np.full(len(owners), -np.inf)
        return BatchProfile(high, low, none, none, -none, before)
    return BatchProfile(high, low, *_steps(selected, last), before)


@unbounded
def _steps(selected: SelectedReadings, last: LastReadings) -> tuple[Floats, Floats, Floats]:
    """Rise, fall and least distance. The step to a first reading without one before it is no step at all."""
    _, time, value, owners, heads, _ = selected
    before_time, before = np.empty_like(time), np.empty_like(value)
    before_time[1:], before[1:] = time[:-1], value[:-1]
    before_time[heads], before[heads] = last.time[owners], last.value[owners]
    first = last.time[owners] == NEVER
    lone = heads[first]
    # Anything but NEVER: the difference must stay in range.
    before_time[lone] = time[lone] - HOUR
    step = value - before
    rate = step / ((time - before_time) / HOUR)
    distance = np.abs(step)
    rate[lone], distance[lone] = 0.0, np.inf
    return (
        np.maximum.reduceat(rate, heads),
        -np.minimum.reduceat(rate, heads),
        np.minimum.reduceat(distance, heads),
    )
