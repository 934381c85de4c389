"""The open windows of a partition's series: one per series and step, each fed by the summaries of the step below."""

from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.fold import Folded, Profile, fold_summaries, heads_of, merge, order_by
from services.aggregation.domain.summary import NEVER, SUMMARY, Bools, Floats, Ints, Kind, Rows, chain, pick, put

OPEN: Final = np.dtype(
    [
        ("start", "<i8"),
        ("summary", SUMMARY),
        # The reading before the window.
        ("before_time", "<i8"),
        ("before", "<f8"),
        # How often it has closed; whether it has changed since.
        ("revision", "<i8"),
        ("dirty", "<i8"),
        # The reading after the window that its last close knew.
        ("after_time", "<i8"),
    ]
)
"""An open window, or one that has closed and would open again; `start` NEVER: none."""


class Closed(NamedTuple):
    """Windows that close: one row each."""

    step: int
    series: Ints
    start: Ints
    rows: Rows
    revision: Ints
    before_time: Ints
    before: Floats
    after_time: Ints
    after: Floats
    edge_after: Rows
    """How a counter went on to the next accepted reading: rows of `EDGE`."""

    def take(self, chosen: Ints | Bools) -> "Closed":
        """Those chosen by index or mask."""
        return Closed(
            self.step,
            self.series[chosen],
            self.start[chosen],
            pick(self.rows, chosen),
            self.revision[chosen],
            self.before_time[chosen],
            self.before[chosen],
            self.after_time[chosen],
            self.after[chosen],
            self.edge_after[chosen],
        )


EDGE: Final = np.dtype([("edge_from", "<i8"), ("edge_to", "<i8"), ("edge", "<f8")])


def no_edges(length: int) -> Rows:
    """`length` times no increase."""
    edges = np.zeros(length, EDGE)
    edges["edge_from"] = edges["edge_to"] = NEVER
    return edges


class Ahead(NamedTuple):
    """Per touched series: the first reading that has not been settled yet (time NEVER: none), and what a counter
    gains."""

    time: Ints
    value: Floats
    edge: Rows


def advance(
    open_windows: Rows, profile: Profile, touched: Ints, news: Folded, step: int, horizon: Ints, ahead: Ahead
) -> tuple[Folded, Closed]:
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
    return news, _settle(open_windows, profile, touched, step, merged, at, previous, fresh, horizon, ahead)


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


def _nothing(step: int) -> Closed:
    none, zero = np.zeros(0, np.int64), np.zeros(0)
    return Closed(step, none, none, np.zeros(0, SUMMARY), none, none, zero, none, zero, no_edges(0))


def _moves_edge(profile: Profile, windows: Folded, told: Ints, now: Ints) -> Bools:
    """Whether another reading after the windows than was told (NEVER: none was) may change what is known of their ends.
    A level stays until the next reading, whichever it is."""
    max_gap, last = profile.max_gap[windows.series], windows.rows["last_time"]
    was_near, is_near = (told != NEVER) & (told - last <= max_gap), now - last <= max_gap
    return np.where(profile.kind[windows.series] == Kind.LEVEL, was_near != is_near, was_near | is_near)


def _settle(
    open_windows: Rows,
    profile: Profile,
    touched: Ints,
    step: int,
    merged: Folded,
    at: Ints,
    previous: Rows,
    fresh: Bools,
    horizon: Ints,
    ahead: Ahead,
) -> Closed:
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
    return Closed(
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
