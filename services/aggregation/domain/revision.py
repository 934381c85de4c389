"""Late readings: they correct windows that have settled already.

A late reading changes the window that it lies in, and the edges of the windows of its neighbours. The finest of these
windows are folded anew from raw readings, the coarser ones from the finer. What is stored already gets a higher
revision; what is still open is replaced in the state, and closes when it is due.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.counter import METER, Correction, increases
from services.aggregation.domain.engine import Engine
from services.aggregation.domain.fold import Folded, Profile, fold_readings, fold_summaries
from services.aggregation.domain.summary import NEVER, SUMMARY, Floats, Ints, Kind, Rows, floor_to


class LateRange(NamedTuple):
    """What has to be read to place late readings of a series: raw readings in [start, end), and the windows of each
    step in the windows of the next larger step that overlap it."""

    series: int
    start: int
    end: int
    counter: bool = False
    """The range begins earlier: at the start of the window before it that holds an accepted reading."""


class Stored(NamedTuple):
    """Windows of one step, by start."""

    start: Ints
    revision: Ints
    rows: Rows


class Context(NamedTuple):
    """What is stored about a `LateRange`. `time` and `value`: readings that count in windows, sorted; `other`: event
    times of those that do not. `level_time`, `level`: the last accepted reading of a counter before the range."""

    time: Ints
    value: Floats
    other: Ints
    windows: Sequence[Stored]
    level_time: int = NEVER
    level: float = 0.0


class Revised(NamedTuple):
    """A stored window's new content."""

    step: int
    series: int
    start: int
    revision: int
    row: Rows


class Placed(NamedTuple):
    """What became of late readings of one series: the new ones, the windows that they changed."""

    time: Ints
    value: Floats
    revised: list[Revised]
    duplicates: int
    corrections: list[Correction]


def late_range(engine: Engine, series: int, times: Ints) -> LateRange:
    """What has to be read for late readings of one series."""
    step, reach = engine.rules.steps[0], int(engine.states.rows["max_gap"][series])
    first, last = int(times.min()) - reach, int(times.max()) + reach
    counter = int(engine.states.rows["kind"][series]) == Kind.COUNTER
    return LateRange(series, first - first % step, last - last % step + step, counter)


def unseen(time: Ints, context: Context) -> Ints:
    """Places of the (sorted) event times that are not stored yet; of equal ones the first."""
    first = np.ones(len(time), bool)
    first[1:] = time[1:] != time[:-1]
    return np.flatnonzero(first & ~np.isin(time, context.time) & ~np.isin(time, context.other))


def place(engine: Engine, series: int, time: Ints, value: Floats, context: Context) -> Placed:
    """Places late readings (sorted by time) of one series, and moves its state on."""
    new = unseen(time, context)
    duplicates = len(time) - len(new)
    time, value = time[new], value[new]
    if not len(time):
        return Placed(time, value, [], duplicates, [])
    state = engine.states.rows[series]
    settled = context.time <= state["settled_time"]
    all_time = np.concatenate([context.time[settled], time])
    all_value = np.concatenate([context.value[settled], value])
    order = np.argsort(all_time, kind="stable")
    all_time, all_value = all_time[order], all_value[order]

    profile = Profile(state["kind"].reshape(1), state["max_gap"].reshape(1))
    alone = np.zeros(len(all_time), np.int64)
    meter = np.zeros(1, METER)
    meter["level_time"], meter["level"] = context.level_time, context.level
    gains = increases(profile.kind, meter, alone, all_time, all_value)
    if gains is not None and all_time[-1] == state["settled_time"]:
        engine.states.rows["meter"][series] = meter[0]
    corrections = [] if gains is None else [found for found in gains.corrections if found.time in time]

    at = np.searchsorted(all_time, time)
    around = np.unique(np.clip(np.concatenate([at - 1, at, at + 1]), 0, len(all_time) - 1))
    dirty = np.unique(floor_to(all_time[around], engine.rules.steps[0]))
    folded = fold_readings(profile, alone, all_time, all_value, engine.rules.steps[0], gains)
    revised = _climb(engine, series, profile, folded, dirty, context)
    _move_before(engine, series, all_time, all_value)
    return Placed(time, value, revised, duplicates, [found._replace(series=series) for found in corrections])


def _climb(
    engine: Engine, series: int, profile: Profile, folded: Folded, dirty: Ints, context: Context
) -> list[Revised]:
    """Replaces the dirty windows of every step, finest first."""
    revised: list[Revised] = []
    for level, step in enumerate(engine.rules.steps):
        dirty = np.unique(floor_to(dirty, step))
        changed = folded.take(np.isin(folded.start, dirty))
        opened = engine.states.rows["open"][series, level]
        stored = context.windows[level]
        for start, row in zip(changed.start.tolist(), changed.rows, strict=True):
            if start == opened["start"]:
                engine.states.rows["open"]["summary"][series, level] = row
                engine.states.rows["open"]["dirty"][series, level] = 1
            else:
                was = np.flatnonzero(stored.start == start)
                revision = int(stored.revision[was[0]]) + 1 if len(was) else 1
                revised.append(Revised(step, series, start, revision, row))
        if level + 1 < len(engine.rules.steps):
            folded = _next(engine, series, level, profile, stored, changed)
    return revised


def _next(engine: Engine, series: int, level: int, profile: Profile, stored: Stored, changed: Folded) -> Folded:
    """The windows of the next step, from all windows of this one: as stored, open, or just changed (which counts
    most)."""
    opened = engine.states.rows["open"][series, level]
    known: dict[int, Rows] = dict(zip(stored.start.tolist(), stored.rows, strict=True))
    if opened["start"] != NEVER:
        known[int(opened["start"])] = opened["summary"]
    known.update(zip(changed.start.tolist(), changed.rows, strict=True))
    starts = np.array(sorted(known), np.int64)
    rows = np.array([known[start] for start in starts.tolist()], SUMMARY)
    parts = Folded(np.zeros(len(starts), np.int64), starts, rows)
    return fold_summaries(profile, parts, engine.rules.steps[level + 1])


def _move_before(engine: Engine, series: int, time: Ints, value: Floats) -> None:
    """The reading before an open window may be another one now."""
    opened = engine.states.rows["open"]
    for level in range(len(engine.rules.steps)):
        start = int(opened["start"][series, level])
        at = int(np.searchsorted(time, start)) - 1
        if start != NEVER and at >= 0 and time[at] > opened["before_time"][series, level]:
            opened["before_time"][series, level], opened["before"][series, level] = time[at], value[at]
