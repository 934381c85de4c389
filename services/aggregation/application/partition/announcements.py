"""Closed windows for everybody who listens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.windows.columnar_statistics import ColumnarStatistics, columnar_statistics
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import Statistics


class Announcement(NamedTuple):
    """A closed window, for everybody who listens. Times in microseconds."""

    descriptor: Descriptor
    series_id: int
    step: int
    start: int
    revision: int
    statistics: Statistics


class Announcements(NamedTuple):
    """Closed windows of one step, for everybody who listens: one row each."""

    descriptors: Sequence[Descriptor]
    ids: Ints
    start: Ints
    revision: Ints
    statistics: ColumnarStatistics

    def one_by_one(self) -> list[Announcement]:
        """The same, as objects."""
        return [
            Announcement(descriptor, series_id, self.statistics.length, start, revision, self.statistics.row(at))
            for at, (descriptor, series_id, start, revision) in enumerate(
                zip(self.descriptors, self.ids.tolist(), self.start.tolist(), self.revision.tolist(), strict=True)
            )
        ]


class WindowKey(NamedTuple):
    """A window of which something is to be announced. `settled`: up to where the series had been judged then."""

    descriptor: Descriptor
    series_id: int
    step: int
    start: int
    revision: int
    settled: int


def announce(
    rules: Rules, states: Rows, ids: Ints, descriptors: Sequence[Descriptor], closed: ClosedWindows, now: int
) -> Announcements | None:
    """Only what people wait for: at full load there are thousands of windows a second."""
    oldest = rules.oldest_announced(closed.step, now)
    if oldest is None:
        return None
    wanted = closed.start + closed.step >= oldest
    if not wanted.any():
        return None
    if not wanted.all():
        closed = closed.take(np.flatnonzero(wanted))
    at = closed.series
    return Announcements(
        [descriptors[series] for series in at.tolist()],
        ids[at],
        closed.start,
        closed.revision,
        columnar_statistics(closed, states["kind"][at], states["max_gap"][at], states["interval"][at]),
    )
