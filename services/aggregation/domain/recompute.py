"""Windows folded anew from raw readings, stretch by stretch, and compared with what is stored.

A stretch holds whole windows of every step, so that all it needs of its past is the level of a counter. Interpolation
needs no past at all: summaries know nothing of their neighbours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.climb import Revised, Stored, close_again, move_before, replace
from services.aggregation.domain.counter import increases
from services.aggregation.domain.engine import Engine
from services.aggregation.domain.fold import Folded, Profile, fold_readings, fold_summaries
from services.aggregation.domain.meter import Correction, no_meters
from services.aggregation.domain.revision import Judged
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.showing import differs
from services.aggregation.domain.summary import DAY, NEVER, SUMMARY, Floats, Ints, Kind, Rows

AHEAD = 8
"""Readings after a stretch that are read too: they judge the last ones in it."""


class Past(NamedTuple):
    """What is stored about a stretch of a series. `time`, `value`: the readings that count, up to its end and to the
    last settled one, sorted; of a counter all since the accepted reading (`level_time`, `level`), which lies before.
    `following`: the first ones after it. `windows`: by step."""

    time: Ints
    value: Floats
    following: Sequence[tuple[int, float]]
    windows: Sequence[Stored]
    level_time: int = NEVER
    level: float = 0.0


class Step(NamedTuple):
    """The windows of one step as they were `before`, and as they are `now`; `stored`: those of the stretch."""

    stored: Stored
    before: dict[int, Rows]
    now: dict[int, Rows]


class Recomputed(NamedTuple):
    """What a stretch comes to. `steps`: its windows, where any has changed, from which `revised` follows (see
    `replaced`). `corrections` are all there are of readings from `judged_from` to its end; `open`: windows in memory
    have changed."""

    steps: list[Step]
    revised: list[Revised]
    corrections: list[Correction]
    judged_from: int
    readings: int
    windows: int
    changed: int
    open: bool


def stretch_length(rules: Rules) -> int:
    """A whole number of windows of every step; stretches begin at multiples of it."""
    top = rules.steps[-1]
    return top * max(1, DAY // top)


def recompute(engine: Engine, series: int, start: int, end: int, past: Past, *, rebuild: bool = False) -> Recomputed:
    """Folds the windows in [start, end). Where that reaches the last settled reading, the state of the series in memory
    follows; `rebuild`: it knows of no windows yet."""
    states = engine.states.rows[series : series + 1]
    time, value, judged, meter = _judged(states, past)
    tail = bool(end > states["settled_time"][0])
    if tail:
        close_again(engine, series, states["meter"].copy(), meter)
        states["meter"] = meter
    corrections = [] if judged.gains is None else judged.gains.corrections
    corrections = [found._replace(series=series) for found in corrections if found.time < end]
    first, count = int(np.searchsorted(time, start)), len(past.time)
    own_time, own_value = time[first:count], value[first:count]
    gains = judged.until(end - 1).since(first)
    alone = np.zeros(len(own_time), np.int64)
    profile = Profile(states["kind"].copy(), states["max_gap"].copy())
    folded = fold_readings(profile, alone, own_time, own_value, engine.rules.steps[0], gains)
    steps: list[Step] = []
    windows = changed = 0
    opened = tail and is_counter(engine, series)
    for level, step in enumerate(engine.rules.steps):
        folded = fold_summaries(profile, folded, step) if level else folded
        stored = past.windows[level]
        if rebuild and tail:
            _reopen(engine, series, level, folded, stored)
            opened = True
        known = _known(engine, series, level, stored, start, end)
        others = _others(engine, series, level, folded, stored)
        if rebuild:
            # What has not been stored yet was no less known.
            known = dict(zip(folded.start.tolist(), folded.rows, strict=True)) | known
        steps.append(Step(stored, known, known | others))
        windows += len(folded.start)
        changed += len(others)
    opened |= move_before(engine, series, time, value)
    since = start if past.level_time == NEVER else min(start, past.level_time + 1)
    return Recomputed(steps if changed else [], [], corrections, since, len(own_time), windows, changed, opened)


def replaced(engine: Engine, series: int, found: Recomputed, beside: Sequence[Sequence[Stored]]) -> Recomputed:
    """With the windows that are others now, and those that people see otherwise for what lies beside them. `beside`: by
    step the stored windows before and after the stretch, as far as a segment reaches."""
    revised: list[Revised] = []
    opened = engine.states.rows["open"]
    was_open = opened[series].tobytes()
    for level, step in enumerate(found.steps):
        parts = [part[level] for part in beside]
        around = {start: row for part in parts for start, row in zip(part.start.tolist(), part.rows, strict=True)}
        current = opened[series, level]
        if beside and current["start"] != NEVER and int(current["start"]) not in step.before:
            around[int(current["start"])] = current["summary"].copy()
        stored = Stored(*(np.concatenate(columns) for columns in zip(step.stored, *parts, strict=True)))
        known, now = around | step.before, around | step.now
        revised += replace(engine, series, level, stored, known, now, rules_may_differ=True)
    is_open = opened[series].tobytes() != was_open
    return found._replace(revised=revised, changed=len(revised) + is_open, open=found.open or is_open)


def _known(engine: Engine, series: int, level: int, stored: Stored, start: int, end: int) -> dict[int, Rows]:
    """The windows of the stretch, as stored, and as open."""
    known: dict[int, Rows] = dict(zip(stored.start.tolist(), stored.rows, strict=True))
    opened = engine.states.rows["open"][series, level]
    if start <= opened["start"] < end:
        known[int(opened["start"])] = opened["summary"].copy()
    return known


def _judged(states: Rows, past: Past) -> tuple[Ints, Floats, Judged, Rows]:
    after = [time for time, _ in past.following], [value for _, value in past.following]
    time = np.concatenate([past.time, np.array(after[0], np.int64)])
    value = np.concatenate([past.value, np.array(after[1], np.float64)])
    meter = no_meters(1)
    meter["level_time"], meter["level"] = past.level_time, past.level
    alone = np.zeros(len(time), np.int64)
    gains = increases(states["kind"], states["counting"], meter, alone, time, value)
    return time, value, Judged(time, gains, meter), meter


def _others(engine: Engine, series: int, level: int, folded: Folded, stored: Stored) -> dict[int, Rows]:
    """The windows that are not stored like this, nor open."""
    states = engine.states.rows
    timed = bool(states["declared"][series])
    opened = states["open"][series, level]
    known = np.isin(folded.start, stored.start)
    changed = ~known
    at = np.searchsorted(stored.start, folded.start[known])
    changed[known] = differs(folded.rows[known], stored.rows[at], timed=timed)
    at = np.flatnonzero(folded.start == opened["start"])
    changed[at] = differs(folded.rows[at], np.array([opened["summary"]] * len(at), SUMMARY), timed=timed)
    return {int(folded.start[place]): folded.rows[place] for place in np.flatnonzero(changed).tolist()}


def _reopen(engine: Engine, series: int, level: int, folded: Folded, stored: Stored) -> None:
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
