"""Closed windows as announcements."""

from collections.abc import Sequence

import numpy as np

from services.aggregation.application.ports import Announcements
from services.aggregation.domain.figures import figures
from services.aggregation.domain.levels import Closed
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.summary import Ints, Rows


def announce(
    rules: Rules, states: Rows, ids: Ints, descriptors: Sequence[Descriptor], closed: Closed, now: int
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
        figures(closed, states["kind"][at], states["max_gap"][at], states["interval"][at]),
    )
