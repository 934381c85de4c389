"""Closed windows as announcements."""

from collections.abc import Sequence

import numpy as np

from services.aggregation.application.ports import Announcement
from services.aggregation.domain.levels import Closed
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.statistics import Edge, Neighbours, Summary, statistics
from services.aggregation.domain.summary import Ints, Rows, pick


def announce(
    rules: Rules, states: Rows, ids: Ints, descriptors: Sequence[Descriptor], closed: Closed, now: int
) -> list[Announcement]:
    """Only what people wait for: at full load there are thousands of windows a second."""
    step = closed.step
    chosen = [at for at, start in enumerate(closed.start.tolist()) if rules.announces(step, start + step, now)]
    if not chosen:
        return []
    if len(chosen) < len(closed.start):
        closed = closed.take(np.array(chosen))
    states = pick(states, closed.series)
    columns = zip(
        closed.series.tolist(),
        ids[closed.series].tolist(),
        closed.start.tolist(),
        closed.rows.tolist(),
        closed.revision.tolist(),
        zip(closed.before_time.tolist(), closed.before.tolist(), strict=True),
        zip(closed.after_time.tolist(), closed.after.tolist(), strict=True),
        closed.edge_after.tolist(),
        states["kind"].tolist(),
        states["max_gap"].tolist(),
        states["interval"].tolist(),
        strict=True,
    )
    return [
        Announcement(
            descriptors[series],
            series_id,
            step,
            start,
            revision,
            statistics(
                Summary(*row),
                start,
                start + step,
                kind=kind,
                max_gap=max_gap,
                interval=interval,
                around=Neighbours(before, after, Edge(*edge)),
            ),
        )
        for series, series_id, start, row, revision, before, after, edge, kind, max_gap, interval in columns
    ]
