"""Late readings of many series at once: as `late_readings.apply_late` does it one by one, for series that are no
counters (no reading of theirs changes the judgement on another)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, chain, pick
from services.aggregation.domain.late.context import Context, SeriesRevision
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.late.visible_change import differs, visibly_changed
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.fold import Folded, Profile, fold_readings, fold_summaries
from services.aggregation.domain.windows.summary import no_summaries


class _Settled(NamedTuple):
    """Readings around the late ones, with these among them; `series` are places of the groups. Sorted by group and
    time."""

    readings: Readings
    late: Bools


def apply_late_batch(engine: Engine, late: Sequence[Readings], contexts: Sequence[Context]) -> list[SeriesRevision]:
    """Places late readings, one series (sorted by time) beside its context, and moves their states on."""
    count = len(late)
    series = np.array([int(own.series[0]) for own in late], np.int64)
    arrived = _columns([(own.time, own.value) for own in late])
    fresh = arrived.take(_unseen(arrived, contexts))
    duplicates = np.bincount(arrived.series, minlength=count) - np.bincount(fresh.series, minlength=count)
    settled = _settled(engine, series, fresh, contexts)
    revised = _propagate(engine, series, settled, contexts)
    _move_before(engine, series, settled.readings)
    bounds = np.searchsorted(fresh.series, np.arange(count + 1)).tolist()
    return [
        SeriesRevision(fresh.time[first:last], fresh.value[first:last], revised[at], int(duplicates[at]), [], [])
        for at, (first, last) in enumerate(pairwise(bounds))
    ]


def _columns(groups: Sequence[tuple[Ints, Floats]]) -> Readings:
    sizes = [len(time) for time, _ in groups]
    return Readings(
        np.repeat(np.arange(len(groups)), sizes),
        np.concatenate([time for time, _ in groups]),
        np.concatenate([value for _, value in groups]),
    )


def _unseen(arrived: Readings, contexts: Sequence[Context]) -> Ints:
    """Places of those that are not stored yet; of equal ones the first."""
    known = _columns([(context.time, context.value) for context in contexts])
    other = _columns([(context.other, np.zeros(len(context.other))) for context in contexts])
    series = np.concatenate([known.series, other.series, arrived.series])
    time = np.concatenate([known.time, other.time, arrived.time])
    order = np.lexsort((time, series))
    series, time = series[order], time[order]
    first = np.ones(len(order), bool)
    first[1:] = (series[1:] != series[:-1]) | (time[1:] != time[:-1])
    places = order[first] - (len(known.time) + len(other.time))
    return places[places >= 0]


def _settled(engine: Engine, series: Ints, fresh: Readings, contexts: Sequence[Context]) -> _Settled:
    known = _columns([(context.time, context.value) for context in contexts])
    has_news = np.bincount(fresh.series, minlength=len(series)) > 0
    last = engine.states.rows["settled_time"][series]
    whole = np.array([context.whole for context in contexts], np.int64)
    known = known.take(
        has_news[known.series] & (known.time <= last[known.series]) & (known.time >= whole[known.series])
    )
    both = known + fresh
    order = np.lexsort((both.time, both.series))
    return _Settled(both.take(order), order >= len(known.time))


def _key(group: Ints, start: Ints, step: int) -> Ints:
    """One number for a window of a group; in the order of groups and time."""
    return group << 32 | start // step


def _propagate(
    engine: Engine, series: Ints, settled: _Settled, contexts: Sequence[Context]
) -> list[list[RevisedWindow]]:
    """Replaces the windows of late readings and of their neighbours, of every step, finest first."""
    states, steps = engine.states.rows, engine.rules.steps
    revised: list[list[RevisedWindow]] = [[] for _ in contexts]
    profile = Profile(states["kind"][series], states["max_gap"][series])
    group, time, _ = settled.readings
    late = np.flatnonzero(settled.late)
    around = np.clip(np.concatenate([late - 1, late, late + 1]), 0, len(time) - 1)
    around = around[group[around] == np.tile(group[late], 3)]
    dirty_group, dirty_start = group[around], time[around]
    folded = fold_readings(profile, *settled.readings, steps[0])
    for level, step in enumerate(steps):
        keys = _key(folded.series, folded.start, step)
        changed = folded.take(np.isin(keys, _key(dirty_group, dirty_start, step)))
        stored = _StoredWindows.of(contexts, level, step)
        opened = pick(states["open"][:, level], series)
        known, now = (
            _all_windows(stored, opened, changed.take(np.zeros(0, np.int64)), step),
            _all_windows(stored, opened, changed, step),
        )
        _replace(engine, series, level, stored, known, now, revised)
        if level + 1 < len(steps):
            folded = fold_summaries(profile, now, steps[level + 1])
    return revised


def _replace(
    engine: Engine,
    series: Ints,
    level: int,
    stored: "_StoredWindows",
    known: Folded,
    now: Folded,
    revised: list[list[RevisedWindow]],
) -> None:
    """`propagation.replace_windows` for many series at once; adds to `revised` of each group."""
    states, step = engine.states.rows, engine.rules.steps[level]
    seen = visibly_changed(Profile(states["kind"][series], states["max_gap"][series]), known, now, step)
    known_keys, keys = _key(known.series, known.start, step), _key(now.series, now.start, step)
    at = np.searchsorted(known_keys, keys)
    there = np.flatnonzero(np.append(known_keys, -1)[at] == keys)
    other = seen.copy()
    other[there] |= differs(pick(now.rows, there), pick(known.rows, at[there]))
    chosen = np.flatnonzero(other)
    now, seen, keys = now.take(chosen), seen[chosen], keys[chosen]
    owners = series[now.series]
    was = stored.revisions(keys)
    is_open = now.start == states["open"]["start"][owners, level]
    places = owners[is_open]
    states["open"]["summary"][places, level] = now.rows[is_open]
    states["open"]["dirty"][places, level] |= seen[is_open]
    closing = is_open & (seen | (states["open"]["dirty"][owners, level] != 0))
    visible = (seen | (was == 0)) & ~is_open
    columns = (now.series.tolist(), owners.tolist(), now.start.tolist(), (was + visible).tolist(), visible.tolist())
    for place in np.flatnonzero(~closing).tolist():
        group, owner, start, revision, news = (column[place] for column in columns)
        revised[group].append(RevisedWindow(step, owner, start, revision, now.rows[place], news))


class _StoredWindows(NamedTuple):
    """The stored windows of one step, of all groups; sorted by key."""

    keys: Ints
    revision: Ints
    windows: Folded

    @classmethod
    def of(cls, contexts: Sequence[Context], level: int, step: int) -> "_StoredWindows":
        """As the contexts have them."""
        parts = [context.windows[level] for context in contexts]
        group = np.repeat(np.arange(len(parts)), [len(part.start) for part in parts])
        start = np.concatenate([part.start for part in parts])
        rows = np.concatenate([no_summaries(0), *(part.rows for part in parts)])
        keys = _key(group, start, step)
        order = np.argsort(keys, kind="stable")
        windows = Folded(group[order], start[order], pick(rows, order))
        return cls(keys[order], np.concatenate([part.revision for part in parts])[order], windows)

    def revisions(self, keys: Ints) -> Ints:
        """What is stored; 0 where nothing is."""
        at = np.searchsorted(self.keys, keys)
        known = np.append(self.keys, -1)[at] == keys
        return np.where(known, np.append(self.revision, 0)[at], 0)


def _all_windows(stored: _StoredWindows, opened: Rows, changed: Folded, step: int) -> Folded:
    """All windows of a step: as stored, open, or just changed (which counts most)."""
    open_ones = np.flatnonzero(opened["start"] != NEVER)
    group = np.concatenate([stored.windows.series, open_ones, changed.series])
    start = np.concatenate([stored.windows.start, opened["start"][open_ones], changed.start])
    rows = chain(chain(stored.windows.rows, np.ascontiguousarray(opened["summary"][open_ones])), changed.rows)
    keys = _key(group, start, step)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    last = order[np.append(keys[1:] != keys[:-1], [True] * min(len(keys), 1))]
    return Folded(group[last], start[last], pick(rows, last))


def _move_before(engine: Engine, series: Ints, readings: Readings) -> None:
    """The reading before an open window may be another one now."""
    opened = engine.states.rows["open"]
    firsts = np.searchsorted(readings.series, np.arange(len(series)))
    for level in range(len(engine.rules.steps)):
        start = opened["start"][series, level]
        earlier = np.bincount(readings.series, readings.time < start[readings.series], len(series)).astype(np.int64)
        groups = np.flatnonzero((earlier > 0) & (start != NEVER))
        at = firsts[groups] + earlier[groups] - 1
        moved = readings.time[at] > opened["before_time"][series[groups], level]
        owners, at = series[groups[moved]], at[moved]
        opened["before_time"][owners, level], opened["before"][owners, level] = readings.time[at], readings.value[at]
