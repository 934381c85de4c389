"""Whether people see something else of windows than before: their statistics, not what is remembered beside them."""

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, unbounded
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.closing import edges_after
from services.aggregation.domain.windows.columnar_statistics import ColumnarStatistics, columnar_statistics
from services.aggregation.domain.windows.fold import Folded, Profile
from services.aggregation.domain.windows.open_windows import ClosedWindows, no_edges

_ROUNDING = 2 * np.finfo(np.float64).eps
"""Of what is summed, for each addition: how far two sums of the same numbers may lie apart, in whatever order and parts
they were added. (One value too high must not hide what changes beside it: nothing here is told by the size of values
alone.)"""
_SHOWN = ("count", "min", "max", "first", "last")
_REMEMBERED = ("first_time", "last_time", "gap", "edge_from", "edge_to", "edge", "level_time", "level", "pace")


def visibly_changed(profile: Profile, before: Folded, after: Folded, step: int) -> Bools:
    """Which windows in `after` show other statistics than in `before`, up to rounding, or were not there. Both hold
    windows of length `step` by series and start; what lies beside them in neither changes nothing."""
    old_keys, keys = _keys(before, step), _keys(after, step)
    at = np.searchsorted(old_keys, keys)
    known = np.append(old_keys, -1)[at] == keys
    found = ~known
    if known.any():
        old, new = _statistics(profile, before, step), _statistics(profile, after, step)
        found[known] = _differ(old, at[known], new, np.flatnonzero(known), _size(before, at[known]))
    return found


def _keys(windows: Folded, step: int) -> Ints:
    return windows.series << 32 | windows.start // step


def _statistics(profile: Profile, windows: Folded, step: int) -> ColumnarStatistics:
    """Statistics of windows among the others of their series."""
    series, start, rows = windows
    count = len(series)
    same = series[1:] == series[:-1]
    before_time, before = np.full(count, NEVER), np.zeros(count)
    after_time, after = np.full(count, NEVER), np.zeros(count)
    before_time[1:][same], before[1:][same] = rows["last_time"][:-1][same], rows["last"][:-1][same]
    after_time[:-1][same], after[:-1][same] = rows["first_time"][1:][same], rows["first"][1:][same]
    edge = no_edges(count)
    edges_after(windows, np.arange(count), edge)
    revision = np.zeros(count, np.int64)
    closed = ClosedWindows(step, series, start, rows, revision, before_time, before, after_time, after, edge)
    return columnar_statistics(closed, profile.kind[series], profile.max_gap[series], np.zeros(count, np.int64))


@unbounded
def _size(windows: Folded, at: Ints) -> Floats:
    """How large the values are that the windows and those beside them hold."""
    size = np.maximum(np.abs(windows.rows["min"]), np.abs(windows.rows["max"]))
    size = np.maximum(size, np.abs(windows.rows["level"]))
    beside = size.copy()
    beside[1:] = np.maximum(beside[1:], size[:-1])
    beside[:-1] = np.maximum(beside[:-1], size[1:])
    return beside[at]


@unbounded
def _differ(
    old: ColumnarStatistics,
    at: Ints,
    new: ColumnarStatistics,
    place: Ints,
    size: Floats,
) -> Bools:
    """Row `place` of the new statistics against row `at` of the old ones; `size` of their values."""
    found = (old.covered[at] != new.covered[place]) | (old.longest_gap[at] != new.longest_gap[place])
    for name in _SHOWN:
        found |= old.rows[name][at] != new.rows[name][place]
    count, seconds = new.rows["count"][place], np.maximum(new.covered[place], 1) * 1e-6
    used = old.consumption[at], new.consumption[place]
    pairs = (
        (old.rows["sum"][at], new.rows["sum"][place], size * count),
        (old.integral[at], new.integral[place], size * seconds),
        (*used, np.maximum(*used)),
    )
    for mine, theirs, whole in pairs:
        found |= ~_same_sums(mine, theirs, whole, count)
    return found


def _same_sums(mine: Floats, theirs: Floats, whole: Floats, count: Ints) -> Bools:
    """Which sums may be of the same numbers. `whole`: all that was added, or more; `count`: of readings."""
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    # Each reading is added once, and the parts of a window beside it.
    return same | (np.abs(mine - theirs) <= _ROUNDING * (count + 2) * whole)


@unbounded
def differs(new: Rows, old: Rows, *, timed: bool = True, fewer: bool = False) -> Bools:
    """Which windows are not what is stored, up to rounding. `timed`: the known time counts too. (Where the interval of
    a series is estimated, what is known was judged by the estimate of its time, which is not there any more.) A stored
    window that holds more readings than are left is only replaced with `fewer`: mostly they were dropped by age."""
    found = np.zeros(len(new), bool)
    for name in (*_SHOWN, *_REMEMBERED):
        found |= new[name] != old[name]
    size, count = np.maximum(np.abs(new["min"]), np.abs(new["max"])), new["count"]
    whole = {"sum": size * count, "consumption": np.maximum(new["consumption"], old["consumption"])}
    if timed:
        found |= new["covered"] != old["covered"]
        whole["integral"] = size * np.maximum(new["covered"], 1) * 1e-6
    for name, most in whole.items():
        found |= ~_same_sums(new[name], old[name], most, count)
    return found if fewer else found & (new["count"] >= old["count"])
