"""Windows folded anew from raw readings, stretch by stretch, and compared with what is stored.

A stretch holds whole windows of every step, so that all it needs of its past is the level of a counter. Interpolation
needs no past at all: summaries know nothing of their neighbours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.counter import increases
from services.aggregation.domain.engine import Engine, Spanned
from services.aggregation.domain.fold import Folded, Profile, fold_readings, fold_summaries
from services.aggregation.domain.meter import Correction, no_meters
from services.aggregation.domain.neighbours import Side, first_edge, first_reading, moved
from services.aggregation.domain.revision import Judged, Revised, Stored, move_before
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.summary import DAY, NEVER, SUMMARY, Bools, Floats, Ints, Kind, Rows, unbounded

AHEAD = 8
"""Readings after a stretch that are read too: they judge the last ones in it."""
_ROUNDING = 1e-9
_EXACT = (
    "count",
    "first_time",
    "last_time",
    "gap",
    "edge_from",
    "edge_to",
    "level_time",
    "min",
    "max",
    "first",
    "last",
)


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


class Recomputed(NamedTuple):
    """What a stretch comes to. `corrections` are all there are of readings from `judged_from` to its end; `open`:
    windows in memory have changed."""

    revised: list[Revised]
    corrections: list[Correction]
    judged_from: int
    readings: int
    windows: int
    changed: int
    open: bool
    before: Spanned | None = None
    """Windows before the stretch whose figures have changed with it."""


def stretch_length(rules: Rules) -> int:
    """A whole number of windows of every step; stretches begin at multiples of it."""
    top = rules.steps[-1]
    return top * max(1, DAY // top)


@unbounded
def differs(new: Rows, old: Rows, *, timed: bool) -> Bools:
    """Which windows are not what is stored, up to rounding. `timed`: the known time counts too. (Where the interval of
    a series is estimated, what is known was judged by the estimate of its time, which is not there any more.) A stored
    window that holds more readings than are left is never replaced."""
    found = np.zeros(len(new), bool)
    for name in _EXACT:
        found |= new[name] != old[name]
    size = np.maximum(np.abs(new["min"]), np.abs(new["max"]))
    seconds = np.maximum(new["covered"], 1) * 1e-6
    close = {"sum": size * new["count"], "consumption": size * new["count"], "edge": size, "level": size}
    if timed:
        found |= new["covered"] != old["covered"]
        close["integral"] = size * seconds
    for name, scale in close.items():
        same = (new[name] == old[name]) | (np.isnan(new[name]) & np.isnan(old[name]))
        found |= ~(same | (np.abs(new[name] - old[name]) <= _ROUNDING * scale))
    return found & (new["count"] >= old["count"])


def recompute(engine: Engine, series: int, start: int, end: int, past: Past, *, rebuild: bool = False) -> Recomputed:
    """Folds the windows in [start, end). Where that reaches the last settled reading, the state of the series in memory
    follows; `rebuild`: it knows of no windows yet."""
    states = engine.states.rows[series : series + 1]
    time, value, judged, meter = _judged(states, past)
    tail = bool(end > states["settled_time"][0])
    if tail:
        states["meter"] = meter
    corrections = [] if judged.gains is None else judged.gains.corrections
    corrections = [found._replace(series=series) for found in corrections if found.time < end]
    first, count = int(np.searchsorted(time, start)), len(past.time)
    own_time, own_value = time[first:count], value[first:count]
    gains = judged.until(end - 1).since(first)
    alone = np.zeros(len(own_time), np.int64)
    profile = Profile(states["kind"].copy(), states["max_gap"].copy())
    folded = fold_readings(profile, alone, own_time, own_value, engine.rules.steps[0], gains)
    revised: list[Revised] = []
    before: Spanned | None = None
    windows = changed = 0
    opened = tail and is_counter(engine, series)
    for level, step in enumerate(engine.rules.steps):
        folded = fold_summaries(profile, folded, step) if level else folded
        stored = past.windows[level]
        if rebuild and tail:
            _reopen(engine, series, level, folded, stored)
            opened = True
        known = _known(engine, series, level, stored, start, end)
        if rebuild:
            # What has not been stored yet was no less known.
            known = dict(zip(folded.start.tolist(), folded.rows, strict=True)) | known
        news = _news(engine, series, level, folded, stored)
        if news.revised or news.open:
            now = known | {window.start: window.row for window in news.revised}
            if news.open:
                start_open = int(engine.states.rows["open"]["start"][series, level])
                now[start_open] = engine.states.rows["open"]["summary"][series, level].copy()
            news = _beside(engine, series, level, stored, news, known, now)
            before = before or _reach(engine, series, start, known, now)
        revised += news.revised
        windows += len(folded.start)
        changed += len(news.revised) + news.open
        opened |= bool(news.open)
    if tail:
        move_before(engine, series, time, value)
    since = start if past.level_time == NEVER else min(start, past.level_time + 1)
    return Recomputed(revised, corrections, since, len(own_time), windows, changed, opened, before)


def _known(engine: Engine, series: int, level: int, stored: Stored, start: int, end: int) -> dict[int, Rows]:
    """The windows of the stretch, as stored, and as open."""
    known: dict[int, Rows] = dict(zip(stored.start.tolist(), stored.rows, strict=True))
    opened = engine.states.rows["open"][series, level]
    if start <= opened["start"] < end:
        known[int(opened["start"])] = opened["summary"].copy()
    return known


def _beside(
    engine: Engine,
    series: int,
    level: int,
    stored: Stored,
    news: "_News",
    before: dict[int, Rows],
    now: dict[int, Rows],
) -> "_News":
    """With the windows that have changed because of their neighbours only."""
    states, step = engine.states.rows, engine.rules.steps[level]
    revised, is_open = list(news.revised), news.open
    side = Side(int(states["kind"][series]), int(states["max_gap"][series]), step)
    for start in moved(side, before, now):
        at = np.flatnonzero(stored.start == start)
        if start == states["open"]["start"][series, level]:
            states["open"]["dirty"][series, level] = 1
            is_open = 1
        elif len(at):
            revised.append(Revised(step, series, start, int(stored.revision[at[0]]) + 1, stored.rows[at[0]]))
    return _News(revised, is_open)


def _reach(engine: Engine, series: int, start: int, before: dict[int, Rows], now: dict[int, Rows]) -> Spanned | None:
    """How far before the stretch windows say something else now."""
    max_gap = int(engine.states.rows["max_gap"][series])
    reach = [start]
    edges = {first_edge(before), first_edge(now)}
    if len(edges) > 1:
        reach += [edge.since for edge in edges if edge.since != NEVER and edge.until - edge.since <= max_gap]
    readings = {first_reading(before), first_reading(now)}
    if len(readings) > 1:
        reach += [time - max_gap for time, _ in readings if time != NEVER]
    since = min(reach)
    return Spanned(series, since, start) if since < start else None


def _judged(states: Rows, past: Past) -> tuple[Ints, Floats, Judged, Rows]:
    after = [time for time, _ in past.following], [value for _, value in past.following]
    time = np.concatenate([past.time, np.array(after[0], np.int64)])
    value = np.concatenate([past.value, np.array(after[1], np.float64)])
    meter = no_meters(1)
    meter["level_time"], meter["level"] = past.level_time, past.level
    alone = np.zeros(len(time), np.int64)
    gains = increases(states["kind"], states["counting"], meter, alone, time, value)
    return time, value, Judged(time, gains, meter), meter


class _News(NamedTuple):
    revised: list[Revised]
    open: int


def _news(engine: Engine, series: int, level: int, folded: Folded, stored: Stored) -> _News:
    step, states = engine.rules.steps[level], engine.states.rows
    timed = bool(states["declared"][series])
    opened = states["open"][series, level]
    known = np.isin(folded.start, stored.start)
    changed = ~known
    at = np.searchsorted(stored.start, folded.start[known])
    changed[known] = differs(folded.rows[known], stored.rows[at], timed=timed)
    revised: list[Revised] = []
    is_open = 0
    for place in np.flatnonzero(changed | (folded.start == opened["start"])).tolist():
        start, row = int(folded.start[place]), folded.rows[place]
        if start == opened["start"]:
            summary = np.array([row], SUMMARY)
            if differs(summary, np.array([opened["summary"]], SUMMARY), timed=timed)[0]:
                states["open"]["summary"][series, level] = row
                states["open"]["dirty"][series, level] = 1
                is_open = 1
        else:
            was = int(stored.revision[np.searchsorted(stored.start, start)]) if known[place] else 0
            revised.append(Revised(step, series, start, was + 1, row))
    return _News(revised, is_open)


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
