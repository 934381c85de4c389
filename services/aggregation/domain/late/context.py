"""What has to be read to apply late readings, what is stored there, and what becomes of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Floats, Ints
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.counters.meter_row import NO_ANCHOR, Anchor
from services.aggregation.domain.late.propagation import (
    RevisedWindow,
    StoredWindows,
)
from services.aggregation.domain.series import Kind
from services.aggregation.domain.windows.engine import Engine


class LateRange(NamedTuple):
    """What has to be read to place late readings of a series: raw readings in [start, end), and the windows of each
    step in the windows of the next larger step that overlap it."""

    series: int
    start: int
    end: int
    counter: bool = False
    deep: bool = False
    max_gap: int = 0
    """The range begins earlier: at the start of the window before it that holds an anchor, or `deep` one anchor
    before that. Readings are read from the anchor before, which is looked for by the `max_gap` of the series."""


class Context(NamedTuple):
    """What is stored about a `LateRange`. `time` and `value`: readings that count in windows, sorted; `other`: event
    times of those that do not. `whole`, `end`: between them all readings of each window are among these.
    `anchor`: of a counter, from where on all readings are among these."""

    time: Ints
    value: Floats
    other: Ints
    windows: Sequence[StoredWindows]
    whole: int
    end: int
    anchor: Anchor = NO_ANCHOR


class SeriesRevision(NamedTuple):
    """What became of late readings of one series: the new ones, the windows that they changed, the corrections that
    follow, and the event times of former corrections that are none any more."""

    time: Ints
    value: Floats
    revised: list[RevisedWindow]
    duplicates: int
    corrections: list[Correction]
    withdrawn: list[int]


def late_range(engine: Engine, series: int, times: Ints, *, to_the_end: bool = False) -> LateRange:
    """What has to be read for late readings of one series; `to_the_end`: up to its last settled reading, and from
    further back. (Where a reading has ended a branch, the anchor before it holds for what comes after, not between.)"""
    step, reach = engine.rules.steps[0], int(engine.states.rows["max_gap"][series])
    first, last = int(times.min()) - reach, int(times.max()) + reach
    if to_the_end:
        last = max(last, int(engine.states.rows["settled_time"][series]))
    counter = int(engine.states.rows["kind"][series]) == Kind.COUNTER
    return LateRange(series, first - first % step, last - last % step + step, counter, to_the_end, reach)


def unseen(time: Ints, context: Context) -> Ints:
    """Places of the (sorted) event times that are not stored yet; of equal ones the first."""
    first = np.ones(len(time), bool)
    first[1:] = time[1:] != time[:-1]
    return np.flatnonzero(first & ~np.isin(time, context.time) & ~np.isin(time, context.other))
