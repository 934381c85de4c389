"""How complete a closed window is, as far as its series can be blamed; and what becomes of the alarm."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.alarms.rule_state import RuleState
from services.aggregation.domain.columns import Floats, Rows
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import Neighbours, Summary, statistics


def at_least(states: Rows, closed: ClosedWindows) -> tuple[Floats, Floats]:
    """Per window what was certainly received and covered, as ratios; both are exact or too low. Received is infinite
    where nobody knows how much to expect."""
    interval = states["interval"][closed.series]
    expected = closed.step / np.maximum(interval, 1)
    received = np.where(interval > 0, closed.rows["count"] / expected, np.inf)
    return received, closed.rows["covered"] / closed.step


class Window(NamedTuple):
    """A closed window of a series, and the readings beside it (`NOWHERE`: there is none)."""

    series: int
    step: int
    start: int
    row: Rows
    before: tuple[int, float]
    after: tuple[int, float]
    revision: int = 0

    @property
    def end(self) -> int:
        """Of the window."""
        return self.start + self.step

    @property
    def first(self) -> tuple[int, float]:
        """Its first reading."""
        return int(self.row["first_time"]), float(self.row["first"])

    @property
    def last(self) -> tuple[int, float]:
        """Its last reading."""
        return int(self.row["last_time"]), float(self.row["last"])


def window_of(closed: ClosedWindows, at: int) -> Window:
    """One of those that close."""
    return Window(
        int(closed.series[at]),
        closed.step,
        int(closed.start[at]),
        closed.rows[at],
        (int(closed.before_time[at]), float(closed.before[at])),
        (int(closed.after_time[at]), float(closed.after[at])),
        int(closed.revision[at]),
    )


def first_after(closed: Sequence[ClosedWindows], opened: Rows, window: RevisedWindow) -> tuple[int, float]:
    """The first reading after a window that is not the newest of its series: in one of those that close just now, or in
    the one that is `opened`."""
    found = [(int(opened["summary"]["first_time"]), float(opened["summary"]["first"]))]
    for one in closed:
        if one.step == window.step:
            later = np.flatnonzero((one.series == window.series) & (one.start > window.start))[:1]
            found += [(int(one.rows["first_time"][at]), float(one.rows["first"][at])) for at in later.tolist()]
    return min(found)


def ratios(states: Rows, window: Window) -> tuple[float | None, float]:
    """Received / expected readings (None: nobody knows how many to expect) and covered time / window of one window.

    The time before the first reading of a series is nobody's fault, nor is that from the last reading to the end of
    the window as long as the reading that would cover it is not overdue (`max_gap`).
    """
    row = Summary(*window.row.tolist())
    kind, max_gap, interval = (int(states[name][window.series]) for name in ("kind", "max_gap", "interval"))
    start = row.first_time if window.before[0] == NEVER else window.start
    around = Neighbours(window.before, window.after)
    found = statistics(row, start, window.end, kind=kind, max_gap=max_gap, interval=interval, around=around)
    covered = found.covered
    if window.after[0] == NEVER and window.end - row.last_time <= max_gap:
        covered += window.end - row.last_time
    return found.received_ratio, min(covered / found.length, 1.0)


class Newest(NamedTuple):
    """What is remembered of the newest window evaluated while an alarm is open: the reading before it and its last
    one."""

    before: tuple[int, float]
    last: tuple[int, float]

    @classmethod
    def of(cls, memory: Sequence[float]) -> "Newest | None":
        """As it was remembered."""
        if len(memory) != 4:
            return None
        return cls((int(memory[0]), memory[1]), (int(memory[2]), memory[3]))

    def memory(self) -> list[float]:
        """To remember it. Event times are whole numbers below 2**53, or `NEVER`, which is a power of two."""
        return [float(self.before[0]), self.before[1], float(self.last[0]), self.last[1]]


def evaluate_window(state: RuleState, window: Window, ratio: float, below: float) -> None:
    """The newest window so far."""
    if ratio >= below:
        if state.alarm is not None:
            state.clear(window.end, ratio)
        state.remember([])
        return
    if state.alarm is None:
        state.begin(window.start, window.end, ratio, occasion=window.revision)
    else:
        state.see(window.end, ratio, lambda value, extreme: value < extreme)
    state.remember(Newest(window.before, window.last).memory())


def reevaluate_window(state: RuleState, states: Rows, window: Window, below: float, *, by_cover: bool) -> None:
    """A window that has changed since it closed, while the alarm is open. Only the newest one that was evaluated, and
    those after it, say whether the condition still lasts."""
    alarm, newest = state.alarm, Newest.of(state.memory)
    if alarm is None or newest is None:
        return
    if window.end < alarm.update:
        if window.last[0] > newest.before[0]:
            state.remember(newest._replace(before=window.last).memory())
        return
    window = window._replace(before=newest.before if window.end == alarm.update else newest.last)
    ratio = ratios(states, window)[int(by_cover)]
    if ratio is not None:
        evaluate_window(state, window, ratio, below)
