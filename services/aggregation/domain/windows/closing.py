"""When windows close: the open window of each series and step takes in the summaries of the step below, and closes when
later readings come, or, where a series has gone quiet, when a deadline has passed.

For a deadline two clocks must agree. By the wall clock the window's end, or the wait for the reading after it, has
passed; by the clock of the loop the series has sent nothing for as long. So a backlog worked off late closes nothing
too early.
"""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, chain, heads_of, order_by, pick, put
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import NEVER, SECOND
from services.aggregation.domain.windows.fold import Folded, Profile, fold_summaries, merge
from services.aggregation.domain.windows.open_windows import OPEN, ClosedWindows, no_edges
from services.aggregation.domain.windows.series_state import SeriesStates
from services.aggregation.domain.windows.summary import SUMMARY


class NextReadings(NamedTuple):
    """Per touched series: the first reading that has not been settled yet (time NEVER: none), and what a counter
    gains."""

    time: Ints
    value: Floats
    edge: Rows


def advance(
    open_windows: Rows, profile: Profile, touched: Ints, news: Folded, step: int, horizon: Ints, ahead: NextReadings
) -> tuple[Folded, ClosedWindows]:
    """Feeds one level: `open_windows` (indexed by series) take in `news`; returns the news for the next level and
    what closes.

    `touched`: ascending series indexes, those of `news` among them; `horizon` and `ahead` belong to it row by row. A
    window closes when its end is not after the horizon of its series, or later readings of the series are in another
    window.
    """
    news = fold_summaries(profile, news, step)
    now_open = pick(open_windows, touched)
    opened = np.flatnonzero(now_open["start"] != NEVER)
    held = pick(now_open, opened)
    # No news is older than the open window of its series: by series, open windows first, it is sorted by start too.
    series = np.concatenate([touched[opened], news.series])
    order = order_by(series)
    parts = Folded(
        series[order],
        np.concatenate([held["start"], news.start])[order],
        pick(chain(held["summary"], news.rows), order),
    )
    heads = heads_of(parts.series, parts.start)
    if not len(heads):
        return news, _nothing(step)
    # Each merged window begins at the place of its first part.
    first = order[heads]
    at = np.flatnonzero(first < len(opened))
    fresh = np.ones(len(heads), bool)
    fresh[at] = np.append(heads[1:], len(order))[at] - heads[at] > 1
    previous = pick(held, first[at])
    merged = merge(profile, parts)
    return news, _close(open_windows, profile, touched, step, merged, at, previous, fresh, horizon, ahead)


def edges_after(merged: Folded, inner: Ints, edge: Rows) -> None:
    """Writes into `edge` of the `inner` windows (not the last of their series) how the counter went on: to the first
    accepted reading after it, whatever windows without one lie between. None where there is none yet."""
    edge[inner] = no_edges(1)
    accepted = np.flatnonzero(merged.rows["edge_to"] != NEVER)
    if not len(accepted):
        return
    after = accepted[np.minimum(np.searchsorted(accepted, inner, side="right"), len(accepted) - 1)]
    known = (after > inner) & (merged.series[after] == merged.series[inner])
    for name in ("edge_from", "edge_to", "edge"):
        edge[name][inner[known]] = merged.rows[name][after[known]]


def _nothing(step: int) -> ClosedWindows:
    none, zero = np.zeros(0, np.int64), np.zeros(0)
    return ClosedWindows(step, none, none, np.zeros(0, SUMMARY), none, none, zero, none, zero, no_edges(0))


def _moves_edge(profile: Profile, windows: Folded, told: Ints, now: Ints) -> Bools:
    """Whether another reading after the windows than was told (NEVER: none was) may change what is known of their ends.
    A level stays until the next reading, whichever it is."""
    max_gap, last = profile.max_gap[windows.series], windows.rows["last_time"]
    was_near, is_near = (told != NEVER) & (told - last <= max_gap), now - last <= max_gap
    return np.where(profile.kind[windows.series] == Kind.LEVEL, was_near != is_near, was_near | is_near)


def _close(
    open_windows: Rows,
    profile: Profile,
    touched: Ints,
    step: int,
    merged: Folded,
    at: Ints,
    previous: Rows,
    fresh: Bools,
    horizon: Ints,
    ahead: NextReadings,
) -> ClosedWindows:
    """`at`: the places in `merged` that were open before, as `previous` says; `fresh`: those that hold news."""
    count = len(merged.series)
    place = np.searchsorted(touched, merged.series)
    new_series = np.ones(count, bool)
    new_series[1:] = merged.series[1:] != merged.series[:-1]
    final = np.append(new_series[1:], True)

    before_time, before = np.full(count, NEVER), np.zeros(count)
    before_time[1:], before[1:] = merged.rows["last_time"][:-1], merged.rows["last"][:-1]
    before_time[new_series], before[new_series] = NEVER, 0.0
    before_time[at], before[at] = previous["before_time"], previous["before"]

    after_time, after, edge = ahead.time[place], ahead.value[place], ahead.edge[place]
    inner = np.flatnonzero(~final)
    after_time[inner], after[inner] = merged.rows["first_time"][inner + 1], merged.rows["first"][inner + 1]

    edges_after(merged, inner, edge)

    dirty, revision, told_after = fresh.copy(), np.zeros(count, np.int64), np.full(count, NEVER)
    dirty[at] |= previous["dirty"] != 0
    revision[at], told_after[at] = previous["revision"], previous["after_time"]
    # It closed with another idea of the reading after it than what has come: its edge is not what was told.
    edge_changed = ~fresh[at] & (revision[at] > 0) & ~final[at] & (told_after[at] != after_time[at])
    edge_changed &= _moves_edge(profile, merged.take(at), told_after[at], after_time[at])
    closes = dirty.copy()
    closes[at] |= edge_changed
    closes &= ~final | (merged.start + step <= horizon[place])
    revision += closes

    keep = np.zeros(int(final.sum()), OPEN)
    keep["start"] = merged.start[final]
    put(keep["summary"], np.arange(len(keep)), pick(merged.rows, final))
    keep["before_time"], keep["before"] = before_time[final], before[final]
    keep["revision"] = revision[final]
    keep["dirty"] = (dirty & ~closes)[final]
    keep["after_time"] = np.where(closes, after_time, told_after)[final]
    put(open_windows, merged.series[final], keep)
    chosen = np.flatnonzero(closes)
    return ClosedWindows(
        step,
        merged.series[chosen],
        merged.start[chosen],
        pick(merged.rows, chosen),
        revision[chosen],
        before_time[chosen],
        before[chosen],
        after_time[chosen],
        after[chosen],
        edge[chosen],
    )


class Deadlines(NamedTuple):
    """`due` per series and level: the event time by the wall clock at which its window closes (NEVER: it does not).
    `quiet` per series: how long it must have been quiet (microseconds). `arrival` per series: its newest message
    (seconds of the loop's clock)."""

    due: Ints
    quiet: Ints
    arrival: Floats

    def soonest(self, clock: float, wall: int) -> float | None:
        """When the first of them has passed by the loop's clock (now `clock`; the wall clock now is `wall`
        microseconds); None when there is none."""
        if not (self.due != NEVER).any():
            return None
        soonest = np.where(self.due == NEVER, 2**62, self.due).min(axis=1)
        by_event = clock + (soonest - wall) / SECOND
        by_arrival = self.arrival + self.quiet / SECOND
        return float(np.where(soonest == 2**62, np.inf, np.maximum(by_event, by_arrival)).min())

    def passed(self, clock: float, wall: int) -> Bools:
        """Of which series a deadline has passed by both clocks."""
        silent = self.arrival + self.quiet / SECOND <= clock
        return silent & ((self.due != NEVER) & (self.due <= wall)).any(axis=1)


def deadlines(states: SeriesStates, series: Ints, time: Ints) -> Deadlines:
    """Of all series. `series` and `time` are the readings that have not been settled, sorted."""
    rows, rules = states.rows, states.rules
    opened = rows["open"]
    wait = np.minimum(rows["max_gap"], rules.edge_wait)
    newest = rows["newest"]
    ends = opened["start"] + np.array(rules.steps, np.int64)
    last = np.maximum(ends, (newest + wait)[:, None]) + rules.grace
    waiting = (opened["start"] != NEVER) & (opened["dirty"] != 0)
    buffered, first_row = np.unique(series, return_index=True)
    if len(buffered):
        # What has not been settled belongs to a window too.
        pending = time[first_row]
        ends = pending[:, None] - pending[:, None] % np.array(rules.steps) + np.array(rules.steps)
        first = np.maximum(ends, (newest[buffered] + wait[buffered])[:, None]) + rules.grace
        last[buffered] = np.where(waiting[buffered], np.minimum(last[buffered], first), first)
        waiting[buffered] = True
    return Deadlines(np.where(waiting, last, NEVER), wait + rules.grace, states.arrival)
