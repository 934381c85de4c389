"""Propagation of late readings to the windows of every step, finest first; it tells which of them have visibly
changed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Floats, Ints, Rows
from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.late.visible_change import differs, visibly_changed
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.fold import Folded, Profile, fold_summaries
from services.aggregation.domain.windows.statistics import Edge, edge_share
from services.aggregation.domain.windows.summary import SUMMARY, floor_to, no_summaries

_SEEN_FROM_OUTSIDE = [
    (SUMMARY.names or ()).index(name)
    for name in ("first_time", "first", "last_time", "last", "edge_from", "edge_to", "edge")
]


class StoredWindows(NamedTuple):
    """Windows of one step, by start."""

    start: Ints
    revision: Ints
    rows: Rows


class RevisedWindow(NamedTuple):
    """A stored window's new content. Not `visible`: only what is remembered beside its statistics has changed; the
    revision stays. One that holds no reading any more is stored no longer."""

    step: int
    series: int
    start: int
    revision: int
    row: Rows
    visible: bool = True


def propagate(
    engine: Engine, series: int, profile: Profile, folded: Folded, dirty: Ints, windows: Sequence[StoredWindows]
) -> list[RevisedWindow]:
    """Replaces the windows around the event times `dirty` by those in `folded`, of the finest step. `windows`: by step
    what is stored. `profile` is that of the series alone."""
    revised: list[RevisedWindow] = []
    for level, step in enumerate(engine.rules.steps):
        changed = folded.take(np.isin(folded.start, floor_to(dirty, step)))
        opened = engine.states.rows["open"][series, level]
        known: dict[int, Rows] = dict(zip(windows[level].start.tolist(), windows[level].rows, strict=True))
        if opened["start"] != NEVER:
            known[int(opened["start"])] = opened["summary"].copy()
        now = known | dict(zip(changed.start.tolist(), changed.rows, strict=True))
        revised += replace_windows(engine, series, level, windows[level], known, now)
        if level + 1 < len(engine.rules.steps):
            folded = fold_summaries(profile, _folded(now), engine.rules.steps[level + 1])
    return revised


def replace_windows(
    engine: Engine,
    series: int,
    level: int,
    stored: StoredWindows,
    known: dict[int, Rows],
    now: dict[int, Rows],
    *,
    rules_may_differ: bool = False,
) -> list[RevisedWindow]:
    """The windows of one step that are others `now` than as `known` before, or that visibly changed. The open one is
    replaced in the state, and closes (again) when it visibly changed; with `rules_may_differ` also when it is not
    but has been announced with what has not settled yet, maybe under other rules. Stored windows that are not there
    `now` hold no reading any more: they are told a last time, empty."""
    states, step = engine.states.rows, engine.rules.steps[level]
    profile = Profile(states["kind"][series].reshape(1), states["max_gap"][series].reshape(1))
    parts = _folded(now)
    gone = sorted(known.keys() - now.keys())
    inside = None if gone else _changed_inside(known, now)
    if inside is None:
        visible_changes = visibly_changed(profile, _folded(known), parts, step).tolist()
        before = np.array([known.get(start, now[start]) for start in sorted(now)], SUMMARY)
        others = differs(parts.rows, before).tolist()
    else:
        visible_changes = others = [start in inside for start in parts.start.tolist()]
    opened = states["open"]
    revisions = dict(zip(stored.start.tolist(), stored.revision.tolist(), strict=True))
    revised: list[RevisedWindow] = []
    for start, row, seen, other in zip(parts.start.tolist(), parts.rows, visible_changes, others, strict=True):
        was = revisions.get(start, 0)
        is_open = start == opened["start"][series, level]
        if not seen and not other and (was or is_open):
            continue
        if is_open:
            opened["summary"][series, level] = row
            announced_ahead = opened["after_time"][series, level] != NEVER
            opened["dirty"][series, level] |= seen or (rules_may_differ and announced_ahead)
            if opened["dirty"][series, level]:
                continue
            was = int(opened["revision"][series, level])
        visible = seen or not was
        revised.append(RevisedWindow(step, series, start, was + visible, row, visible))
    empty = no_summaries(1)[0]
    revised += [RevisedWindow(step, series, start, revisions[start] + 1, empty) for start in gone if start in revisions]
    return revised


def _changed_inside(known: dict[int, Rows], now: dict[int, Rows]) -> set[int] | None:
    """The windows that hold more readings than before, where that is all that has changed, and nothing of it can be
    seen from outside. None: all have to be compared with what lies beside them."""
    found: set[int] = set()
    for start, row in now.items():
        old = known.get(start)
        if old is row:
            continue
        if old is None:
            return None
        mine, theirs = row.item(), old.item()
        if mine == theirs:
            continue
        if mine[0] == theirs[0] or any(mine[at] != theirs[at] for at in _SEEN_FROM_OUTSIDE):
            return None
        found.add(start)
    return found


def _folded(windows: dict[int, Rows]) -> Folded:
    """Windows of one series."""
    starts = np.array(sorted(windows), np.int64)
    rows = np.array([windows[start] for start in starts.tolist()], SUMMARY)
    return Folded(np.zeros(len(starts), np.int64), starts, rows)


def forget_before(engine: Engine, series: int, earlier: tuple[int, float] | None) -> None:
    """What was the reading before an open window may count no more; the one before all that is known is `earlier`."""
    opened = engine.states.rows["open"]
    opened["before_time"][series], opened["before"][series] = earlier or (NEVER, 0.0)


def move_before(engine: Engine, series: int, time: Ints, value: Floats) -> bool:
    """The reading before an open window may be another one now; whether it is."""
    opened = engine.states.rows["open"]
    moved = False
    for level in range(len(engine.rules.steps)):
        start = int(opened["start"][series, level])
        at = int(np.searchsorted(time, start)) - 1
        if start != NEVER and at >= 0 and time[at] > opened["before_time"][series, level]:
            opened["before_time"][series, level], opened["before"][series, level] = time[at], value[at]
            moved = True
    return moved


def close_again(engine: Engine, series: int, before: Rows, after: Rows) -> None:
    """Windows that closed knowing the reading that settles next close again where it adds something else to the counter
    `after` than `before` (rows of `METER`)."""
    mine = engine.buffer.take(engine.buffer.series == series)
    if not len(mine.time):
        return
    at = int(np.argmin(mine.time))
    ahead = mine.take(np.array([at]))
    states = engine.states.rows[series : series + 1]
    edges: list[Edge | None] = []
    for meter in (before.copy(), after.copy()):
        alone = np.zeros(1, np.int64)
        rules, decided = states["counting"], engine.decided(series)
        gains = increases(states["kind"], rules, meter, alone, ahead.time, ahead.value, decided)
        known = gains is not None and len(gains.at)
        edges.append(Edge(int(gains.since[0]), int(ahead.time[0]), float(gains.amount[0])) if gains and known else None)
    max_gap = int(states["max_gap"][0])
    for opened, step in zip(states["open"][0], engine.rules.steps, strict=True):
        start = int(opened["start"])
        shares = {edge_share(max_gap, edge, start, start + step) for edge in edges}
        if len(shares) > 1 and opened["revision"] > 0 and opened["after_time"] == ahead.time[0]:
            opened["dirty"] = 1
