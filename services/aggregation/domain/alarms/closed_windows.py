"""COMPLETENESS alarms, by the windows that close and those that have changed since they did."""

from collections.abc import Sequence

import numpy as np

from services.aggregation.domain.alarms.book import AlarmBook
from services.aggregation.domain.alarms.completeness import (
    Window,
    at_least,
    evaluate_window,
    first_after,
    ratios,
    reevaluate_window,
    window_of,
)
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import NOWHERE


def evaluate_closed(book: AlarmBook, windows: Sequence[ClosedWindows]) -> None:
    """Windows that have closed, or closed again."""
    for closed in windows:
        watched = book.index.completeness(closed.step, book.size)
        if watched is None or not len(closed.series):
            continue
        states = book.engine.states.rows
        received, covered = at_least(states, closed)
        places = closed.series
        suspects = watched.active[places] | (received < watched.received[places])
        suspects |= covered < watched.covered[places]
        # What raises an alarm here may be over with the next window.
        suspects = np.isin(places, places[suspects])
        for at in np.flatnonzero(suspects).tolist():
            window = window_of(closed, at)
            if window.series not in book.presence:
                continue
            for rule, below, by_cover in watched.rules.get(window.series, ()):
                ratio = ratios(states, window)[int(by_cover)]
                if ratio is not None:
                    state = book.state(window.series, rule)
                    evaluate_window(state, window, ratio, below)
                    book.put_back(state)


def evaluate_revised(book: AlarmBook, closed: Sequence[ClosedWindows], revised: Sequence[RevisedWindow]) -> None:
    """Older windows that have changed since they closed: they say whether an open alarm lasts, and never raise one.
    Before those that have `closed`."""
    states = book.engine.states.rows
    for level, step in enumerate(book.engine.rules.steps):
        watched = book.index.completeness(step, book.size)
        if watched is None or not watched.active.any():
            continue
        changed = [one for one in revised if one.visible and one.step == step and watched.active[one.series]]
        # Latest first: the reading after each is known when its turn comes.
        windows: list[Window] = []
        for one in sorted(changed, key=lambda one: (one.series, one.start), reverse=True):
            after = first_after(closed, states["open"][one.series, level], one)
            if windows and windows[-1].series == one.series:
                after = min(after, windows[-1].first)
            windows.append(Window(one.series, step, one.start, one.row, NOWHERE, after))
        for window in reversed(windows):
            for rule, below, by_cover in watched.rules.get(window.series, ()):
                state = book.state(window.series, rule)
                reevaluate_window(state, states, window, below, by_cover=by_cover)
                book.put_back(state)
