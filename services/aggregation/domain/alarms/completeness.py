"""How complete a closed window is, as far as its series can be blamed."""

import numpy as np

from services.aggregation.domain.levels import Closed
from services.aggregation.domain.statistics import Neighbours, Summary, statistics
from services.aggregation.domain.summary import NEVER, Floats, Rows


def at_least(states: Rows, closed: Closed) -> tuple[Floats, Floats]:
    """Per window what was certainly received and covered, as ratios; both are exact or too low. Received is infinite
    where nobody knows how much to expect."""
    interval = states["interval"][closed.series]
    expected = closed.step / np.maximum(interval, 1)
    received = np.where(interval > 0, closed.rows["count"] / expected, np.inf)
    return received, closed.rows["covered"] / closed.step


def ratios(states: Rows, closed: Closed, at: int) -> tuple[float | None, float]:
    """Received / expected readings (None: nobody knows how many to expect) and covered time / window of one window.

    The time before the first reading of a series is nobody's fault, nor is that from the last reading to the end of
    the window as long as the reading that would cover it is not overdue (`max_gap`).
    """
    row = Summary(*closed.rows[at].tolist())
    kind, max_gap, interval = (int(states[name][closed.series[at]]) for name in ("kind", "max_gap", "interval"))
    before = int(closed.before_time[at]), float(closed.before[at])
    after = int(closed.after_time[at]), float(closed.after[at])
    end = int(closed.start[at]) + closed.step
    start = row.first_time if before[0] == NEVER else end - closed.step
    found = statistics(row, start, end, kind=kind, max_gap=max_gap, interval=interval, around=Neighbours(before, after))
    covered = found.covered
    if after[0] == NEVER and end - row.last_time <= max_gap:
        covered += end - row.last_time
    return found.received_ratio, min(covered / found.length, 1.0)
