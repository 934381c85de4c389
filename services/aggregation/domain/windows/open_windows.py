"""What is kept of windows that are open, and what becomes of those that close."""

from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, pick
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.summary import SUMMARY

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


class ClosedWindows(NamedTuple):
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

    def take(self, chosen: Ints | Bools) -> "ClosedWindows":
        """Those chosen by index or mask."""
        return ClosedWindows(
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
