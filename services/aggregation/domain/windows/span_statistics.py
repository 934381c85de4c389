"""Statistics of spans from what was read of them: stored windows, raw readings, and the neighbourhood."""

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Rows, chain
from services.aggregation.domain.counters.increases import Increases, increases
from services.aggregation.domain.counters.meter_row import NO_ANCHOR, UNDECIDED, Anchor, no_meters
from services.aggregation.domain.counters.policy import counting
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import NEVER, NO_END
from services.aggregation.domain.windows.fold import Folded, Profile, fold_readings, merge
from services.aggregation.domain.windows.statistics import NOWHERE, Edge, Neighbours, Statistics, Summary, statistics
from services.aggregation.domain.windows.summary import no_summaries

_NOTHING: Final = Summary()


class RawRange(NamedTuple):
    """Readings of one series in [start, end). For counters, with the last anchor before it, and all that was read
    since."""

    series: int
    start: int
    end: int
    anchor: Anchor = NO_ANCHOR
    following: Sequence[tuple[int, float]] = ()
    """Readings after the range that judge those in it, see `undecided`."""
    settled: int = NO_END
    """See `SpanQuery`."""

    @property
    def read_from(self) -> int:
        """The earliest event time that has to be read: what came before the range may be judged inside it."""
        return self.start if self.anchor.time == NEVER else min(self.start, self.anchor.time + 1)


class Span(NamedTuple):
    """Statistics of one series over one span; `newest`: the last reading that was read (`NEVER`: none)."""

    series: int
    start: int
    statistics: Statistics
    newest: int


def spans(infos: Sequence[SeriesInfo], parts: Folded, start: int, end: int, step: int) -> list[Span]:
    """Per series the statistics of each span of length `step` (from `start`) in [start, end) that holds readings or
    known time; with `step` as long as all of it, one per series, also without either.

    `parts`: what was read of the series (by place in `infos`), in any order.
    """
    order = np.lexsort((parts.rows["first_time"], parts.series))
    parts = parts.take(order)
    first_time = parts.rows["first_time"]
    inside = parts.take((first_time >= start) & (first_time < end))
    starts = start + (inside.rows["first_time"] - start) // step * step
    merged = merge(_profile(infos), Folded(inside.series, starts, inside.rows))
    places = np.arange(len(infos) + 1)
    bounds = np.searchsorted(parts.series, places).tolist()
    cuts = np.searchsorted(merged.series, places).tolist()
    found: list[Span] = []
    for at, info in enumerate(infos):
        rows = parts.rows[bounds[at] : bounds[at + 1]]
        before, after, edge = _outside(rows, start, end)
        newest = int(rows["last_time"].max(initial=NEVER))
        own = slice(cuts[at], cuts[at + 1])
        summaries = [Summary(*row) for row in merged.rows[own].tolist()]
        edges = _edges_after(summaries, edge)
        if step >= end - start and not summaries:
            around = Neighbours(before, after, edge)
            found.append(Span(at, start, _statistics(info, _NOTHING, start, end, around), newest))
            continue
        grid = _Grid(at, info, start, end, step, newest)
        for place, (span_start, summary) in enumerate(zip(merged.start[own].tolist(), summaries, strict=True)):
            following = summaries[place + 1] if place + 1 < len(summaries) else None
            around = Neighbours(
                (summaries[place - 1].last_time, summaries[place - 1].last) if place else before,
                after if following is None else (following.first_time, following.first),
                edges[place],
            )
            arriving = _edge(summary) or edges[place]
            found += _between(grid, Neighbours(around.before, (summary.first_time, summary.first), arriving))
            found.append(
                Span(at, span_start, _statistics(info, summary, span_start, span_start + step, around), newest)
            )
        last = (summaries[-1].last_time, summaries[-1].last) if summaries else before
        found += _between(grid, Neighbours(last, after, edge))
    return found


class _Grid(NamedTuple):
    """The spans of one series that are asked for."""

    series: int
    info: SeriesInfo
    start: int
    end: int
    step: int
    newest: int


def _between(grid: _Grid, around: Neighbours) -> Iterator[Span]:
    """The spans that lie between two neighbouring readings and hold none, if the time between these is known."""
    series, info, start, end, step, newest = grid
    since, until = around.before[0], around.after[0]
    if since == NEVER or until == NEVER or until - since > info.max_gap:
        return
    first = start + ((since - start) // step + 1) * step
    last = start + (until - start) // step * step
    for at in range(max(first, start), min(last, end), step):
        yield Span(series, at, _statistics(info, _NOTHING, at, at + step, around), newest)


def _statistics(info: SeriesInfo, summary: Summary, start: int, end: int, around: Neighbours) -> Statistics:
    return statistics(summary, start, end, kind=info.kind, max_gap=info.max_gap, interval=info.interval, around=around)


def _edges_after(summaries: Sequence[Summary], last: Edge | None) -> list[Edge | None]:
    """For each summary the increase that arrives first after it: a neighbour's readings need not be accepted ones."""
    found: list[Edge | None] = []
    for summary in reversed(summaries):
        found.append(last)
        last = _edge(summary) or last
    return found[::-1]


def _edge(summary: Summary) -> Edge | None:
    return Edge(summary.edge_from, summary.edge_to, summary.edge) if summary.edge_to != NEVER else None


def _outside(rows: Rows, start: int, end: int) -> tuple[tuple[int, float], tuple[int, float], Edge | None]:
    """The reading before, the reading after, the increase of a counter that arrives after."""
    first, last = np.searchsorted(rows["first_time"], (start, end))
    earlier, later = rows[:first], rows[last:]
    before = (int(earlier["last_time"][-1]), float(earlier["last"][-1])) if len(earlier) else NOWHERE
    after = (int(later["first_time"][0]), float(later["first"][0])) if len(later) else NOWHERE
    accepted = later[later["edge_to"] != NEVER]
    edge = None
    if len(accepted):
        edge = Edge(int(accepted["edge_from"][0]), int(accepted["edge_to"][0]), float(accepted["edge"][0]))
    return before, after, edge


def singles(infos: Sequence[SeriesInfo], ranges: Sequence[RawRange], readings: Readings) -> Folded:
    """Raw readings as summaries of one reading each. `readings.series` are places in `ranges`; sorted by range and
    time."""
    if any(infos[part.series].kind == Kind.COUNTER for part in ranges):
        found = _counted(infos, ranges, readings)
    else:
        found = Folded(readings.series, readings.time, _alone(readings))
    begin = np.array([part.start for part in ranges], np.int64)
    end = np.array([part.end for part in ranges], np.int64)
    found = found.take((found.start >= begin[found.series]) & (found.start < end[found.series]))
    owner = np.array([part.series for part in ranges], np.int64)
    return Folded(owner[found.series], found.start, found.rows)


def undecided(infos: Sequence[SeriesInfo], ranges: Sequence[RawRange], readings: Readings) -> list[int]:
    """Places of the ranges whose readings (as for `singles`) may yet be judged otherwise by what follows."""
    if not any(infos[part.series].kind == Kind.COUNTER for part in ranges):
        return []
    _, gains, meters, readings, whole = _judged(infos, ranges, readings)
    open_ones = (meters["open"] == UNDECIDED) & ~whole
    if gains is not None:
        anchors = gains.at[gains.anchored]
        ends = np.array([part.end for part in ranges], np.int64)
        open_ones[readings.series[anchors[readings.time[anchors] >= ends[readings.series[anchors]]]]] = False
    return np.flatnonzero(open_ones).tolist()


class _Judged(NamedTuple):
    """What was made of ranges of readings, with those that follow them."""

    profile: Profile
    gains: Increases | None
    meters: Rows
    readings: Readings
    whole: Bools
    """Which ranges hold all that may judge them."""


def _counted(infos: Sequence[SeriesInfo], ranges: Sequence[RawRange], readings: Readings) -> Folded:
    profile, gains, _, readings, _ = _judged(infos, ranges, readings)
    return fold_readings(profile, *readings, 1, gains)


def _judged(infos: Sequence[SeriesInfo], ranges: Sequence[RawRange], readings: Readings) -> _Judged:
    profile = _profile([infos[part.series] for part in ranges])
    meters = no_meters(len(ranges))
    for at, name in enumerate(("level_time", "level", "pace")):
        meters[name] = [part.anchor[at] for part in ranges]
    rules = counting([infos[part.series].counting for part in ranges])
    beyond = [(at, time, value) for at, part in enumerate(ranges) for time, value in part.following]
    if beyond:
        place, time, value = zip(*beyond, strict=True)
        extra = Readings(np.array(place, np.int64), np.array(time, np.int64), np.array(value, np.float64))
        readings = (readings + extra).sorted()
    readings, known = _known(ranges, readings)
    decisions = {at: found for at, part in enumerate(ranges) if (found := infos[part.series].decisions)}
    gains = increases(profile.kind, rules, meters, *readings, decisions)
    return _Judged(profile, gains, meters, readings, known)


def _known(ranges: Sequence[RawRange], readings: Readings) -> tuple[Readings, Bools]:
    """Without those that have not settled; and which ranges have such ones."""
    settled = np.array([part.settled for part in ranges], np.int64)
    beyond = readings.time > settled[readings.series]
    whole = np.zeros(len(ranges), bool)
    whole[readings.series[beyond]] = True
    return readings.take(~beyond), whole


def _alone(readings: Readings) -> Rows:
    """What `fold_readings` makes of readings of no counter, one by one."""
    rows = no_summaries(len(readings.series))
    rows["count"] = 1
    rows["first_time"] = rows["last_time"] = readings.time
    for name in ("sum", "min", "max", "first", "last"):
        rows[name] = readings.value
    return rows


def join(parts: Sequence[Folded]) -> Folded:
    """All of them."""
    none = Folded(np.zeros(0, np.int64), np.zeros(0, np.int64), no_summaries(0))
    series, start = (np.concatenate([part[column] for part in (none, *parts)]) for column in range(2))
    return Folded(series, start, reduce(chain, [part.rows for part in parts], none.rows))


def _profile(infos: Sequence[SeriesInfo]) -> Profile:
    return Profile(
        np.array([info.kind for info in infos], np.int64), np.array([info.max_gap for info in infos], np.int64)
    )
