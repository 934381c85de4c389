"""Which readings are evaluated, and what can be said of them all at once."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.alarms.accepted_values import AcceptedValues, accepted_values
from services.aggregation.domain.alarms.rule_index import BatchProfile
from services.aggregation.domain.columns import Bools, Floats, Ints, heads_of, unbounded
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, NEVER
from services.aggregation.domain.windows.engine import Engine


class LastReadings(NamedTuple):
    """By local index: the reading that was evaluated last (time NEVER: none)."""

    time: Ints
    value: Floats


class SelectedReadings(NamedTuple):
    """Readings to evaluate: sorted by series, each series' strictly in the order of time and newer than its last one.
    `owners`: the series; `heads` and `tails`: where each begins and ends (inclusive). `amount`: of counters what each
    has added."""

    series: Ints
    time: Ints
    value: Floats
    owners: Ints
    heads: Ints
    tails: Ints
    amount: Floats | None = None
    since: Ints | None = None


def last_evaluated(engine: Engine) -> LastReadings:
    """Of each series, from what the engine holds: the newest reading, since all are evaluated that are newer than those
    before; of a counter the newest one that is accepted."""
    states = engine.states.rows
    time, value = states["newest"].copy(), states["settled"].copy()
    buffer = engine.buffer
    newest = buffer.time == time[buffer.series]
    value[buffer.series[newest]] = buffer.value[newest]
    counters = states["kind"] == Kind.COUNTER
    time[counters], value[counters] = states["meter"]["level_time"][counters], states["meter"]["level"][counters]
    found = accepted_values(engine, no_readings(), counters)
    if found is not None:
        # What waits may have made readings trusted that settled before.
        time[found.owners], value[found.owners] = found.level_time, found.level
        # In the order of time: of each the last one stays.
        time[found.readings.series], value[found.readings.series] = found.readings.time, found.readings.value
    return LastReadings(time, value)


def select_accepted(found: AcceptedValues, last: LastReadings) -> SelectedReadings | None:
    """Those that are newer than what was evaluated of their series."""
    newer = found.readings.time > last.time[found.readings.series]
    own = found.readings.take(newer)
    if not len(own.time):
        return None
    heads = heads_of(own.series, np.zeros_like(own.series))
    tails = np.append(heads[1:], len(own.time)) - 1
    return SelectedReadings(*own, own.series[heads], heads, tails, found.amount[newer], found.since[newer])


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
    value, owners, heads = selected.value, selected.owners, selected.heads
    before = np.where(last.time[owners] == NEVER, np.inf, last.value[owners])
    high, low = np.maximum.reduceat(value, heads), np.minimum.reduceat(value, heads)
    if not steps:
        none = np.full(len(owners), -np.inf)
        return BatchProfile(high, low, none, none, -none, before)
    return BatchProfile(high, low, *_steps(selected, last), before)


@unbounded
def _steps(selected: SelectedReadings, last: LastReadings) -> tuple[Floats, Floats, Floats]:
    """Rise, fall and least distance. The step to a first reading without one before it is no step at all."""
    _, time, value, owners, heads, _, amount, since = selected
    before_time, before = np.empty_like(time), np.empty_like(value)
    before_time[1:], before[1:] = time[:-1], value[:-1]
    before_time[heads], before[heads] = last.time[owners], last.value[owners]
    if since is not None:
        # What was judged last may lie before other accepted ones.
        before_time[heads] = since[heads]
    first = before_time[heads] == NEVER
    lone = heads[first]
    # Anything but NEVER: the difference must stay in range.
    before_time[lone] = time[lone] - HOUR
    step = value - before if amount is None else amount.copy()
    rate = step / ((time - before_time) / HOUR)
    distance = np.abs(step)
    rate[lone], distance[lone] = 0.0, np.inf
    return (
        np.maximum.reduceat(rate, heads),
        -np.minimum.reduceat(rate, heads),
        np.minimum.reduceat(distance, heads),
    )
