"""Folds readings into summaries of windows, and summaries into those of larger windows. Columnar: no work per reading
in Python. Both take rows sorted by series, then time."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, heads_of, pick, put, unbounded
from services.aggregation.domain.counters.increases import Increases
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.summary import floor_to, no_summaries


class Folded(NamedTuple):
    """One row per (series, window): the series' index, the window's start, its summary."""

    series: Ints
    start: Ints
    rows: Rows

    def take(self, chosen: Ints | Bools) -> "Folded":
        """Those that are chosen by index or mask."""
        return Folded(self.series[chosen], self.start[chosen], pick(self.rows, chosen))


class Profile(NamedTuple):
    """What folding needs to know of each series, by series index: its kind and the longest known segment."""

    kind: Ints
    max_gap: Ints


@unbounded
def _segments(
    profile: Profile, series: Ints, t0: Ints, v0: Floats, t1: Ints, v1: Floats, inside: Bools
) -> tuple[Ints, Ints, Floats]:
    """Length, known length and integral of each segment between neighbours; 0 where they are not `inside` one span."""
    length = np.where(inside, t1 - t0, 0)
    known = np.where(length <= profile.max_gap[series], length, 0)
    height = np.where(profile.kind[series] == Kind.LEVEL, v0, (v0 + v1) * 0.5)
    # Between spans the height may be anything, also infinite.
    return length, known, np.where(known > 0, height * known * 1e-6, 0.0)


@unbounded
def fold_readings(
    profile: Profile, series: Ints, time: Ints, value: Floats, step: int, increases: Increases | None = None
) -> Folded:
    """The summary of each window of length `step` that has readings. `increases` where some series is a counter.

    (series, time) must be strictly increasing.
    """
    start = floor_to(time, step)
    heads = heads_of(series, start)
    rows = no_summaries(len(heads))
    if not len(heads):
        return Folded(series, start, rows)
    tails = np.append(heads[1:], len(series)) - 1
    inside = np.ones(len(series), bool)
    inside[heads] = False
    length, known, area = (np.zeros(len(series), np.int64), np.zeros(len(series), np.int64), np.zeros(len(series)))
    length[1:], known[1:], area[1:] = _segments(
        profile, series[1:], time[:-1], value[:-1], time[1:], value[1:], inside[1:]
    )
    rows["count"] = tails - heads + 1
    rows["sum"] = np.add.reduceat(value, heads)
    rows["min"] = np.minimum.reduceat(value, heads)
    rows["max"] = np.maximum.reduceat(value, heads)
    rows["first_time"], rows["first"] = time[heads], value[heads]
    rows["last_time"], rows["last"] = time[tails], value[tails]
    rows["covered"] = np.add.reduceat(known, heads)
    rows["integral"] = np.add.reduceat(area, heads)
    rows["gap"] = np.maximum.reduceat(length, heads)
    if increases is not None and len(increases.at):
        _add_increases(rows, heads, time, increases)
    return Folded(series[heads], start[heads], rows)


def _add_increases(rows: Rows, heads: Ints, time: Ints, increases: Increases) -> None:
    at = increases.at
    group = np.searchsorted(heads, at, side="right") - 1
    first = np.ones(len(at), bool)
    first[1:] = group[1:] != group[:-1]
    np.add.at(rows["consumption"], group[~first], increases.amount[~first])
    edges = group[first]
    rows["edge_from"][edges] = increases.since[first]
    rows["edge_to"][edges] = time[at[first]]
    rows["edge"][edges] = increases.amount[first]
    anchors = np.flatnonzero(increases.anchored)
    chosen = anchors[_lasts(group[anchors])]
    rows["level_time"][group[chosen]] = time[at[chosen]]
    rows["level"][group[chosen]], rows["pace"][group[chosen]] = increases.level[chosen], increases.pace[chosen]


def _lasts(group: Ints) -> Bools:
    """Which is the last one of its (ascending) group."""
    last = np.ones(len(group), bool)
    last[:-1] = group[1:] != group[:-1]
    return last


def fold_summaries(profile: Profile, parts: Folded, step: int) -> Folded:
    """Merges the summaries of each series that lie in the same window of length `step`.

    `parts` are of disjoint spans, sorted by series and time, each inside one window.
    """
    return merge(profile, Folded(parts.series, floor_to(parts.rows["first_time"], step), parts.rows))


@unbounded
def merge(profile: Profile, parts: Folded) -> Folded:
    """Merges summaries that have the same series and start. They are of disjoint spans, sorted by series and time."""
    if not len(parts.series):
        return parts
    series, start, given = parts
    heads = heads_of(series, start)
    tails = np.append(heads[1:], len(series)) - 1
    several = tails > heads
    inner = np.repeat(several, tails - heads + 1)
    if 2 * np.count_nonzero(inner) < len(series):
        # Most have nothing to be merged with.
        rows = pick(given, heads)
        if several.any():
            put(rows, several, merge(profile, parts.take(inner)).rows)
        return Folded(series[heads], start[heads], rows)
    inside = np.ones(len(series), bool)
    inside[heads] = False
    length, known, area = (np.zeros(len(series), np.int64), np.zeros(len(series), np.int64), np.zeros(len(series)))
    length[1:], known[1:], area[1:] = _segments(
        profile,
        series[1:],
        given["last_time"][:-1],
        given["last"][:-1],
        given["first_time"][1:],
        given["first"][1:],
        inside[1:],
    )
    rows = no_summaries(len(heads))
    rows["count"] = np.add.reduceat(given["count"], heads)
    rows["sum"] = np.add.reduceat(given["sum"], heads)
    rows["min"] = np.minimum.reduceat(given["min"], heads)
    rows["max"] = np.maximum.reduceat(given["max"], heads)
    rows["first_time"], rows["first"] = given["first_time"][heads], given["first"][heads]
    rows["last_time"], rows["last"] = given["last_time"][tails], given["last"][tails]
    rows["covered"] = np.add.reduceat(given["covered"] + known, heads)
    rows["integral"] = np.add.reduceat(given["integral"] + area, heads)
    rows["gap"] = np.maximum.reduceat(np.maximum(given["gap"], length), heads)
    _merge_increases(rows, heads, given)
    return Folded(series[heads], start[heads], rows)


def _merge_increases(rows: Rows, heads: Ints, given: Rows) -> None:
    at = np.flatnonzero(given["edge_to"] != NEVER)
    if not len(at):
        return
    group = np.searchsorted(heads, at, side="right") - 1
    first = np.ones(len(at), bool)
    first[1:] = group[1:] != group[:-1]
    np.add.at(rows["consumption"], group, given["consumption"][at] + np.where(first, 0.0, given["edge"][at]))
    for name in ("edge_from", "edge_to", "edge"):
        rows[name][group[first]] = given[name][at[first]]
    at = at[given["level_time"][at] != NEVER]
    group = np.searchsorted(heads, at, side="right") - 1
    last = _lasts(group)
    for name in ("level_time", "level", "pace"):
        rows[name][group[last]] = given[name][at[last]]
