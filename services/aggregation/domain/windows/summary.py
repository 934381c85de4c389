"""What is kept of a span of one series: a summary of the readings inside it, and nothing about its neighbours.

Summaries of disjoint spans, in the order of time, merge associatively: the segment between the last reading of one and
the first of the next is added when they meet (`fold_summaries`). The parts of segments that cross the edges of a
window are added when it is looked at (`statistics`), from the neighbouring readings. So a reading changes the summary
of its own window only, and windows without readings need no row: their value follows from the readings around them.

Times are microseconds since the Unix epoch; `NEVER` stands for none.
"""

from typing import Final

import numpy as np

from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.times import NEVER

SUMMARY: Final = np.dtype(
    [
        ("count", "<i8"),
        ("sum", "<f8"),
        ("min", "<f8"),
        ("max", "<f8"),
        ("first_time", "<i8"),
        ("first", "<f8"),
        ("last_time", "<i8"),
        ("last", "<f8"),
        # Time between neighbouring readings that is known (no longer than max_gap), and the integral of the value over
        # it in value times seconds.
        ("covered", "<i8"),
        ("integral", "<f8"),
        # The longest time between neighbouring readings of the span.
        ("gap", "<i8"),
        # Counters only. Increases between accepted readings of the span; then the increase that led to the first
        # accepted reading of the span from the one before (`edge`), and the last anchor (see `meter`).
        ("consumption", "<f8"),
        ("edge_from", "<i8"),
        ("edge_to", "<i8"),
        ("edge", "<f8"),
        ("level_time", "<i8"),
        ("level", "<f8"),
        ("pace", "<f8"),
    ]
)
"""One row per span. `count` 0 means that there is nothing in the other fields."""


def no_summaries(length: int) -> Rows:
    """`length` empty summaries."""
    rows = np.zeros(length, SUMMARY)
    for name in ("first_time", "last_time", "edge_from", "edge_to", "level_time"):
        rows[name] = NEVER
    return rows


def floor_to(times: Ints, step: int) -> Ints:
    """The start of the window of length `step` that each time lies in: a multiple of the step since the epoch (UTC)."""
    return times - times % step
