"""When the windows of quiet series close: nothing more comes that would close them.

Two clocks must agree. By the wall clock the window's end, or the wait for the reading after it, has passed; by the
clock of the loop the series has sent nothing for as long. So a backlog worked off late closes nothing too early.
"""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.state import SeriesStates
from services.aggregation.domain.summary import NEVER, SECOND, Bools, Floats, Ints


class Deadlines(NamedTuple):
    """`due` per series and level: the event time by the wall clock at which its window closes (NEVER: it does not).
    `quiet` per series: how long it must have been quiet (microseconds). `arrival` per series: its newest message
    (seconds of the loop's clock)."""

    due: Ints
    quiet: Ints
    arrival: Floats

    def soonest(self, clock: float, wall: int) -> float | None:
        """When the first of them has passed by the loop's clock (now `clock`; the wall clock now is `wall`
        microseconds); None when there is none."""
        if not (self.due != NEVER).any():
            return None
        soonest = np.where(self.due == NEVER, 2**62, self.due).min(axis=1)
        by_event = clock + (soonest - wall) / SECOND
        by_arrival = self.arrival + self.quiet / SECOND
        return float(np.where(soonest == 2**62, np.inf, np.maximum(by_event, by_arrival)).min())

    def passed(self, clock: float, wall: int) -> Bools:
        """Of which series a deadline has passed by both clocks."""
        silent = self.arrival + self.quiet / SECOND <= clock
        return silent & ((self.due != NEVER) & (self.due <= wall)).any(axis=1)


def deadlines(states: SeriesStates, series: Ints, time: Ints) -> Deadlines:
    """Of all series. `series` and `time` are the readings that have not been settled, sorted."""
    rows, rules = states.rows, states.rules
    opened = rows["open"]
    wait = np.minimum(rows["max_gap"], rules.edge_wait)
    newest = rows["newest"]
    ends = opened["start"] + np.array(rules.steps, np.int64)
    last = np.maximum(ends, (newest + wait)[:, None]) + rules.grace
    waiting = (opened["start"] != NEVER) & (opened["dirty"] != 0)
    buffered, first_row = np.unique(series, return_index=True)
    if len(buffered):
        # What has not been settled belongs to a window too.
        pending = time[first_row]
        ends = pending[:, None] - pending[:, None] % np.array(rules.steps) + np.array(rules.steps)
        first = np.maximum(ends, (newest[buffered] + wait[buffered])[:, None]) + rules.grace
        last[buffered] = np.where(waiting[buffered], np.minimum(last[buffered], first), first)
        waiting[buffered] = True
    return Deadlines(np.where(waiting, last, NEVER), wait + rules.grace, states.arrival)
