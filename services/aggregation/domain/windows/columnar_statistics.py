"""Statistics of many windows at once: what `statistics` says of one, by columns and with the same results."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, unbounded
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import Statistics, finite


class ColumnarStatistics(NamedTuple):
    """Statistics of windows that hold readings, one row each; fields as in `Statistics`."""

    rows: Rows
    covered: Ints
    integral: Floats
    length: int
    longest_gap: Ints
    expected: Floats
    """0: not known."""
    counter: Bools
    consumption: Floats
    """Of counters; not finite where there is none."""

    @property
    @unbounded
    def mean(self) -> Floats:
        """See `Statistics.mean`; not finite where there is none."""
        return self.rows["sum"] / self.rows["count"]

    @property
    @unbounded
    def time_weighted_mean(self) -> Floats:
        """See `Statistics.time_weighted_mean`; not finite where there is none."""
        covered = np.where(self.covered > 0, self.covered, 1)
        return np.where(self.covered > 0, self.integral / (covered * 1e-6), np.nan)

    @property
    def covered_ratio(self) -> Floats:
        """See `Statistics.covered_ratio`."""
        return np.minimum(self.covered / self.length, 1.0)

    @property
    def received_ratio(self) -> Floats:
        """See `Statistics.received_ratio`; only where `expected` is known."""
        return np.minimum(self.rows["count"] / np.where(self.expected > 0, self.expected, 1.0), 1.0)

    def row(self, at: int) -> Statistics:
        """One window's."""
        row = self.rows[at]
        return Statistics(
            count=int(row["count"]),
            sum=float(row["sum"]),
            min=float(row["min"]),
            max=float(row["max"]),
            first=(int(row["first_time"]), float(row["first"])),
            last=(int(row["last_time"]), float(row["last"])),
            covered=int(self.covered[at]),
            integral=float(self.integral[at]),
            length=self.length,
            longest_gap=int(self.longest_gap[at]),
            expected=float(self.expected[at]) if self.expected[at] else None,
            consumption=finite(float(self.consumption[at])) if self.counter[at] else None,
            series=1,
        )


@unbounded
def columnar_statistics(closed: ClosedWindows, kind: Ints, max_gap: Ints, interval: Ints) -> ColumnarStatistics:
    """The statistics of windows that close. `kind`, `max_gap` and `interval` (0: not known) belong to them row by row.

    All of them hold readings.
    """
    rows, start, end = closed.rows, closed.start, closed.start + closed.step
    level = kind == Kind.LEVEL
    head = _segments(level, max_gap, closed.before_time, closed.before, rows["first_time"], rows["first"], start, end)
    tail = _segments(level, max_gap, rows["last_time"], rows["last"], closed.after_time, closed.after, start, end)
    counter = kind == Kind.COUNTER
    consumption = np.zeros(len(start))
    if counter.any():
        consumption = rows["consumption"] + _edge_shares(max_gap, rows, start, end)
        consumption += _edge_shares(max_gap, closed.edge_after, start, end)
    return ColumnarStatistics(
        rows,
        rows["covered"] + (head[0] + tail[0]),
        rows["integral"] + (head[1] + tail[1]),
        closed.step,
        np.maximum(np.maximum(rows["gap"], rows["first_time"] - start), end - rows["last_time"]),
        np.where(interval > 0, closed.step / np.where(interval > 0, interval, 1), 0.0),
        counter,
        consumption,
    )


def _segments(
    level: Bools, max_gap: Ints, t0: Ints, v0: Floats, t1: Ints, v1: Floats, a: Ints, b: Ints
) -> tuple[Ints, Floats]:
    """`segment`, row by row."""
    known = (t0 != NEVER) & (t1 != NEVER)
    t0, t1 = np.where(known, t0, 0), np.where(known, t1, 0)
    length = t1 - t0
    x, y = np.maximum(t0, a), np.minimum(t1, b)
    known &= (length > 0) & (length <= max_gap) & (y > x)
    slope = (v1 - v0) / np.where(known, length, 1)
    height = np.where(level, v0, v0 + slope * ((x - t0) + (y - t0)) * 0.5)
    return np.where(known, y - x, 0), np.where(known, height * (y - x) * 1e-6, 0.0)


def _edge_shares(max_gap: Ints, edges: Rows, a: Ints, b: Ints) -> Floats:
    """`edge_share`, row by row."""
    since, until, amount = edges["edge_from"], edges["edge_to"], edges["edge"]
    known = (since != NEVER) & (until != NEVER)
    since, until = np.where(known, since, 0), np.where(known, until, 1)
    length = until - since
    part = amount * np.maximum(0, np.minimum(until, b) - np.maximum(since, a)) / length
    whole = np.where((a <= until) & (until < b), amount, 0.0)
    return np.where(known, np.where(length > max_gap, whole, part), 0.0)
