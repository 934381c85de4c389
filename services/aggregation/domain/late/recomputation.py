"""Windows folded anew from raw readings, chunk by chunk, and compared with what is stored.

A chunk holds whole windows of every step, so that all it needs of its past is the level of a counter. Interpolation
needs no past at all: summaries know nothing of their neighbours.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Floats, Ints, Rows
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.counters.meter_row import NO_ANCHOR, UNDECIDED, Anchor, meter_from
from services.aggregation.domain.late.propagation import (
    RevisedWindow,
    StoredWindows,
    close_again,
    forget_before,
    move_before,
    replace_windows,
)
from services.aggregation.domain.late.recount import Recount
from services.aggregation.domain.late.visible_change import differs
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.fold import Folded, Profile, fold_readings, fold_summaries
from services.aggregation.domain.windows.summary import SUMMARY

READ_AHEAD: Final = 8
"""Readings after a chunk that are read too, more where these are not enough: they judge the last ones in it."""


class StoredChunk(NamedTuple):
    """What is stored about a chunk of a series. `time`, `value`: the readings that count, up to its end and to the
    last settled one, sorted; of a counter all since the anchor, which lies before. `following`: the first ones after
    it. `windows`: by step."""

    time: Ints
    value: Floats
    following: Sequence[tuple[int, float]]
    windows: Sequence[StoredWindows]
    anchor: Anchor = NO_ANCHOR
    other: Sequence[int] = ()
    """Event times of those that do not count."""
    earlier: tuple[int, float] | None = None
    """The last reading before the chunk that counts; told of a series whose readings were amended."""


class StepChange(NamedTuple):
    """The windows of one step as they were `before`, and as they are `now`; `stored`: those of the chunk."""

    stored: StoredWindows
    before: dict[int, Rows]
    now: dict[int, Rows]


class RecomputedChunk(NamedTuple):
    """What a chunk comes to. `steps`: its windows, where any has changed, from which `revised` follows (see
    `with_revisions`). `corrections` are all there are of readings from `recounted_from` to its end; `open`: windows in
    memory have changed; `anchored`: the last anchor of a counter up to its end, from which what follows is judged."""

    steps: list[StepChange]
    revised: list[RevisedWindow]
    corrections: list[Correction]
    recounted_from: int
    readings: int
    windows: int
    changed: int
    open: bool
    anchored: int = NEVER


def chunk_length(rules: Rules) -> int:
    """A whole number of windows of every step; chunks begin at multiples of it."""
    top = rules.steps[-1]
    return top * max(1, DAY // top)


def recompute_chunk(
    engine: Engine,
    series: int,
    start: int,
    end: int,
    past: StoredChunk,
    *,
    rebuild: bool = False,
    amended: bool = False,
) -> RecomputedChunk:
    """Folds the windows in [start, end). Where that reaches the last settled reading, the state of the series in memory
    follows; `rebuild`: it knows of no windows yet; `amended`: readings may be fewer than those that windows hold."""
    states = engine.states.rows[series : series + 1]
    time, value, recounted, meter = _recounted(engine, series, past)
    tail = bool(end > states["settled_time"][0])
    if tail:
        close_again(engine, series, states["meter"].copy(), meter)
        states["meter"] = meter
        engine.states.note_open_meters([series])
    corrections = [] if recounted.gains is None else recounted.gains.corrections
    corrections = [found._replace(series=series) for found in corrections if found.time < end]
    first, count = int(np.searchsorted(time, start)), len(past.time)
    own_time, own_value = time[first:count], value[first:count]
    gains = recounted.until(end - 1).since(first)
    alone = np.zeros(len(own_time), np.int64)
    profile = Profile(states["kind"].copy(), states["max_gap"].copy())
    folded = fold_readings(profile, alone, own_time, own_value, engine.rules.steps[0], gains)
    steps: list[StepChange] = []
    windows = changed = 0
    opened = tail and is_counter(engine, series)
    for level, step in enumerate(engine.rules.steps):
        folded = fold_summaries(profile, folded, step) if level else folded
        stored = past.windows[level]
        if rebuild and tail:
            _reopen(engine, series, level, folded, stored)
            opened = True
        known = _known(engine, series, level, stored, start, end)
        others = _others(engine, series, level, folded, stored, fewer=amended)
        gone = known.keys() - set(folded.start.tolist()) if amended else set[int]()
        if tail and int(engine.states.rows["open"]["start"][series, level]) in gone:
            _close_for_good(engine, series, level)
            if len(folded.start):
                _reopen(engine, series, level, folded, stored)
        if rebuild:
            # What has not been stored yet was no less known.
            known = dict(zip(folded.start.tolist(), folded.rows, strict=True)) | known
        now = {at: row for at, row in known.items() if at not in gone} if gone else known
        steps.append(StepChange(stored, known, now | others))
        windows += len(folded.start)
        changed += len(others) + len(gone)
    if amended and tail:
        _settle_anew(engine, series, past)
        opened = True
    opened |= move_before(engine, series, time, value)
    since = start if past.anchor.time == NEVER else min(start, past.anchor.time + 1)
    anchored = NEVER if gains is None else int(own_time[gains.at[gains.anchored]].max(initial=NEVER))
    steps = steps if changed else []
    return RecomputedChunk(steps, [], corrections, since, len(own_time), windows, changed, opened, anchored)


def with_revisions(
    engine: Engine, series: int, found: RecomputedChunk, beside: Sequence[Sequence[StoredWindows]]
) -> RecomputedChunk:
    """With the windows that are others now, and those that people see otherwise for what lies beside them. `beside`: by
    step the stored windows before and after the chunk, as far as a segment reaches."""
    revised: list[RevisedWindow] = []
    opened = engine.states.rows["open"]
    was_open = opened[series].tobytes()
    for level, step in enumerate(found.steps):
        parts = [part[level] for part in beside]
        around = {start: row for part in parts for start, row in zip(part.start.tolist(), part.rows, strict=True)}
        current = opened[series, level]
        if beside and current["start"] != NEVER and int(current["start"]) not in step.before:
            around[int(current["start"])] = current["summary"].copy()
        stored = StoredWindows(*(np.concatenate(columns) for columns in zip(step.stored, *parts, strict=True)))
        known, now = around | step.before, around | step.now
        revised += replace_windows(engine, series, level, stored, known, now, rules_may_differ=True)
    is_open = opened[series].tobytes() != was_open
    return found._replace(revised=revised, changed=len(revised) + is_open, open=found.open or is_open)


def decided(engine: Engine, series: int, end: int, past: StoredChunk) -> bool:
    """Whether nothing beyond the readings that follow the chunk can judge those in it otherwise."""
    _, _, found, meter = _recounted(engine, series, past)
    if found.gains is None or meter["open"][0] != UNDECIDED:
        return True
    return bool((found.time[found.gains.at[found.gains.anchored]] >= end).any())


def _known(engine: Engine, series: int, level: int, stored: StoredWindows, start: int, end: int) -> dict[int, Rows]:
    """The windows of the chunk, as stored, and as open."""
    known: dict[int, Rows] = dict(zip(stored.start.tolist(), stored.rows, strict=True))
    opened = engine.states.rows["open"][series, level]
    if start <= opened["start"] < end:
        known[int(opened["start"])] = opened["summary"].copy()
    return known


def _recounted(engine: Engine, series: int, past: StoredChunk) -> tuple[Ints, Floats, Recount, Rows]:
    states = engine.states.rows[series : series + 1]
    after = [time for time, _ in past.following], [value for _, value in past.following]
    time = np.concatenate([past.time, np.array(after[0], np.int64)])
    value = np.concatenate([past.value, np.array(after[1], np.float64)])
    meter = meter_from(past.anchor)
    alone = np.zeros(len(time), np.int64)
    decided = engine.decided(series)
    gains = increases(states["kind"], states["counting"], meter, alone, time, value, decided)
    return time, value, Recount(time, gains, meter), meter


def _settle_anew(engine: Engine, series: int, past: StoredChunk) -> None:
    """The last settled reading, and the one before the open windows, may be others now. What came after the last one
    is known as having come, and does not count."""
    last = (int(past.time[-1]), float(past.value[-1])) if len(past.time) else past.earlier
    state = engine.states.rows[series : series + 1]
    state["settled_time"], state["settled"] = last or (NEVER, 0.0)
    engine.voided.update((series, time) for time in past.other if last is None or time > last[0])
    forget_before(engine, series, past.earlier)


def _close_for_good(engine: Engine, series: int, level: int) -> None:
    """The open window holds no reading any more."""
    opened = engine.states.rows["open"]
    opened[series, level] = np.zeros(1, opened.dtype)[0]
    for name in ("start", "before_time", "after_time"):
        opened[name][series, level] = NEVER


def _others(
    engine: Engine, series: int, level: int, folded: Folded, stored: StoredWindows, *, fewer: bool
) -> dict[int, Rows]:
    """The windows that are not stored like this, nor open."""
    states = engine.states.rows
    timed = bool(states["declared"][series])
    opened = states["open"][series, level]
    known = np.isin(folded.start, stored.start)
    changed = ~known
    at = np.searchsorted(stored.start, folded.start[known])
    changed[known] = differs(folded.rows[known], stored.rows[at], timed=timed, fewer=fewer)
    at = np.flatnonzero(folded.start == opened["start"])
    held = np.array([opened["summary"]] * len(at), SUMMARY)
    changed[at] = differs(folded.rows[at], held, timed=timed, fewer=fewer)
    return {int(folded.start[place]): folded.rows[place] for place in np.flatnonzero(changed).tolist()}


def _reopen(engine: Engine, series: int, level: int, folded: Folded, stored: StoredWindows) -> None:
    """The last window becomes the open one again, as closed as it was. Without readings that are left, as stored."""
    states = engine.states.rows
    opened = states["open"]
    start = int(folded.start[-1]) if len(folded.start) else int(stored.start[-1]) if len(stored.start) else NEVER
    if start == NEVER:
        return
    at = int(np.searchsorted(stored.start, start))
    known = at < len(stored.start) and int(stored.start[at]) == start
    row = folded.rows[-1] if len(folded.start) else stored.rows[at]
    opened["start"][series, level], opened["summary"][series, level] = start, row
    opened["revision"][series, level] = int(stored.revision[at]) if known else 0
    opened["after_time"][series, level] = NEVER
    new, old = np.array([row], SUMMARY), stored.rows[at : at + 1]
    same = known and not differs(new, old, timed=bool(states["declared"][series]))[0]
    opened["dirty"][series, level] = 0 if same else 1


def is_counter(engine: Engine, series: int) -> bool:
    """Whether the series is a counter: its past matters."""
    return int(engine.states.rows["kind"][series]) == Kind.COUNTER
