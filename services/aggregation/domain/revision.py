"""Late readings: they correct windows that have settled already.

A late reading changes the window that it lies in, and the edges of the windows of its neighbours. The finest of these
windows are folded anew from raw readings, the coarser ones from the finer. What is stored already gets a higher
revision where people see something else of it now; what is still open is replaced in the state, and closes when it is
due.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.climb import Revised, Stored, climb, close_again, move_before
from services.aggregation.domain.counter import Increases, increases
from services.aggregation.domain.engine import Engine, Readings
from services.aggregation.domain.fold import Profile, fold_readings
from services.aggregation.domain.meter import Correction, no_meters
from services.aggregation.domain.policy import rules_of
from services.aggregation.domain.summary import NEVER, Bools, Floats, Ints, Kind, Rows


class LateRange(NamedTuple):
    """What has to be read to place late readings of a series: raw readings in [start, end), and the windows of each
    step in the windows of the next larger step that overlap it."""

    series: int
    start: int
    end: int
    counter: bool = False
    """The range begins earlier: at the start of the window before it that holds an accepted reading. Readings are read
    from the accepted one before that."""


class Context(NamedTuple):
    """What is stored about a `LateRange`. `time` and `value`: readings that count in windows, sorted; `other`: event
    times of those that do not. `whole`, `end`: between them all readings of each window are among these.
    `level_time`, `level`: the last accepted reading of a counter before these, not the last one before the range: so
    the reading after it has shown that it was right to accept it."""

    time: Ints
    value: Floats
    other: Ints
    windows: Sequence[Stored]
    whole: int
    end: int
    level_time: int = NEVER
    level: float = 0.0


class Placed(NamedTuple):
    """What became of late readings of one series: the new ones, the windows that they changed, the corrections that
    follow, and the event times of former corrections that are none any more."""

    time: Ints
    value: Floats
    revised: list[Revised]
    duplicates: int
    corrections: list[Correction]
    withdrawn: list[int]


def late_range(engine: Engine, series: int, times: Ints, *, to_the_end: bool = False) -> LateRange:
    """What has to be read for late readings of one series; `to_the_end`: up to its last settled reading."""
    step, reach = engine.rules.steps[0], int(engine.states.rows["max_gap"][series])
    first, last = int(times.min()) - reach, int(times.max()) + reach
    if to_the_end:
        last = max(last, int(engine.states.rows["settled_time"][series]))
    counter = int(engine.states.rows["kind"][series]) == Kind.COUNTER
    return LateRange(series, first - first % step, last - last % step + step, counter)


def unseen(time: Ints, context: Context) -> Ints:
    """Places of the (sorted) event times that are not stored yet; of equal ones the first."""
    first = np.ones(len(time), bool)
    first[1:] = time[1:] != time[:-1]
    return np.flatnonzero(first & ~np.isin(time, context.time) & ~np.isin(time, context.other))


def place(engine: Engine, series: int, time: Ints, value: Floats, context: Context) -> Placed | None:
    """Places late readings (sorted by time) of one series, and moves its state on. None, and nothing has changed, when
    what they say about a counter reaches beyond the range: read on to the last settled reading."""
    new = unseen(time, context)
    duplicates = len(time) - len(new)
    time, value = time[new], value[new]
    if not len(time):
        return Placed(time, value, [], duplicates, [], [])
    state = engine.states.rows[series]
    settled = context.time <= state["settled_time"]
    known_time, known_value = context.time[settled], context.value[settled]
    all_time, all_value = np.concatenate([known_time, time]), np.concatenate([known_value, value])
    order = np.argsort(all_time, kind="stable")
    all_time, all_value = all_time[order], all_value[order]
    before = judge(engine, series, context, known_time, known_value)
    after = judge(engine, series, context, all_time, all_value)
    if context.end > state["settled_time"]:
        state["meter"] = after.meter[0]
    elif before.meter.tobytes() != after.meter.tobytes():
        return None
    at = np.searchsorted(all_time, time)
    first = int(np.searchsorted(all_time, context.whole))
    around = np.unique(np.clip(np.concatenate([at - 1, at, at + 1]), first, len(all_time) - 1))
    moved = np.concatenate([all_time[around], before.differs(after), _spanned(engine, series, before, after, all_time)])
    revised = _refold(engine, series, all_time, all_value, after, moved, context)
    move_before(engine, series, all_time, all_value)
    if before.meter.tobytes() != after.meter.tobytes():
        close_again(engine, series, before.meter, after.meter)
    corrections, withdrawn = _news(series, before, after)
    return Placed(time, value, revised, duplicates, corrections, withdrawn)


class Doubt(NamedTuple):
    """A settled reading of a counter that was believed at once, and the reading after it, which revokes that."""

    series: int
    time: int
    next_time: int
    next_value: float


def doubts(engine: Engine, fresh: Readings, quiet: Bools | None = None) -> list[Doubt]:
    """Beliefs that readings about to settle will revoke: those of `Engine.apply` with these fresh readings, or of
    `Engine.tick` where these series are quiet."""
    found: list[Doubt] = []
    for series in engine.states.doubtful().tolist():
        state = engine.states.rows[series]
        own = engine.buffer.take(engine.buffer.series == series)
        new = fresh.take(fresh.series == series)
        if not quiet[series] if quiet is not None else not len(new.time):
            continue
        # As they will be settled: of equal event times the first that came.
        both = own + new
        if not len(both.time):
            continue
        at = int(np.argmin(both.time))
        time, value = int(both.time[at]), float(both.value[at])
        newest = max(int(both.time.max()), int(state["newest"]))
        if quiet is None and time > newest - engine.rules.grace:
            continue
        meter = state["meter"]
        old_time, old = int(meter["old_time"]), float(meter["old"])
        if value >= old and rules_of(state["counting"]).fits(old_time, old, time, value):
            found.append(Doubt(series, int(meter["level_time"]), time, value))
    return found


def revoke(engine: Engine, doubt: Doubt, context: Context) -> Placed:
    """Takes back what the last settled reading of the series has added. `context` reaches beyond it."""
    state = engine.states.rows[doubt.series]
    settled = context.time <= state["settled_time"]
    time, value = context.time[settled], context.value[settled]
    before = judge(engine, doubt.series, context, time, value)
    after = judge(
        engine, doubt.series, context, np.append(time, doubt.next_time), np.append(value, doubt.next_value)
    ).until(doubt.time)
    meter = state["meter"]
    meter["level_time"], meter["level"] = meter["old_time"], meter["old"]
    meter["old_time"], meter["old"] = NEVER, 0.0
    moved = np.concatenate([before.differs(after), [doubt.time], _spanned(engine, doubt.series, before, after, time)])
    revised = _refold(engine, doubt.series, time, value, after, moved, context)
    corrections, withdrawn = _news(doubt.series, before, after)
    return Placed(time[:0], value[:0], revised, 0, corrections, withdrawn)


class Judged(NamedTuple):
    """What was made of the readings of one counter (of none, where the series is another kind), in order."""

    time: Ints
    gains: Increases | None
    meter: Rows
    """What is remembered after them: one row of `METER`."""

    def until(self, last: int) -> "Judged":
        """The same, of the readings up to `last`."""
        if self.gains is None:
            return self
        own = self.time[self.gains.at] <= last
        corrections = [found for found in self.gains.corrections if found.time <= last]
        gains = Increases(self.gains.at[own], self.gains.amount[own], self.gains.since[own], corrections, [])
        return Judged(self.time[self.time <= last], gains, self.meter)

    def since(self, first: int) -> Increases | None:
        """The increases, in the columns without the `first` readings."""
        if self.gains is None:
            return None
        own = self.gains.at >= first
        return Increases(self.gains.at[own] - first, self.gains.amount[own], self.gains.since[own], [], [])

    def differs(self, other: "Judged") -> Ints:
        """Event times of the readings that have added something else."""
        if self.gains is None or other.gains is None:
            return np.zeros(0, np.int64)
        mine, theirs = self.added(), other.added()
        return np.array([time for time in mine.keys() | theirs.keys() if mine.get(time) != theirs.get(time)], np.int64)

    def added(self) -> dict[int, tuple[float, int]]:
        """By event time what each accepted reading has added, and since when."""
        if self.gains is None:
            return {}
        columns = self.time[self.gains.at].tolist(), self.gains.amount.tolist(), self.gains.since.tolist()
        return {time: (amount, since) for time, amount, since in zip(*columns, strict=True)}


def _spanned(engine: Engine, series: int, before: Judged, after: Judged, time: Ints) -> Ints:
    """Event times among `time` (sorted) in whose windows there is another share of an increase now: also of the one
    that goes on from the last accepted reading, as far as it was told."""
    if before.gains is None or after.gains is None:
        return time[:0]
    mine, theirs = before.added(), after.added()
    parts = [(found[1], at) for at, found in mine.items() ^ theirs.items()]
    if before.meter.tobytes() != after.meter.tobytes():
        parts += [(int(found.meter["level_time"][0]), int(time[-1])) for found in (before, after)]
    step, max_gap = engine.rules.steps[0], int(engine.states.rows["max_gap"][series])
    chosen = np.zeros(len(time), bool)
    for since, until in parts:
        if since != NEVER and until - since <= max_gap:
            chosen[np.searchsorted(time, since - since % step) : np.searchsorted(time, until, side="right")] = True
    return time[chosen]


def judge(engine: Engine, series: int, context: Context, time: Ints, value: Floats) -> Judged:
    """The readings of a series under its rules, after the accepted reading that the context begins with."""
    meter = no_meters(1)
    meter["level_time"], meter["level"] = context.level_time, context.level
    alone = np.zeros(len(time), np.int64)
    states = engine.states.rows[series : series + 1]
    gains = increases(states["kind"], states["counting"], meter, alone, time, value)
    return Judged(time, gains, meter)


def _news(series: int, before: Judged, after: Judged) -> tuple[list[Correction], list[int]]:
    """The corrections that are new or others now, and the event times of those that are none any more."""
    if before.gains is None or after.gains is None:
        return [], []
    known = {found.time: found for found in before.gains.corrections}
    now = {found.time: found for found in after.gains.corrections}
    news = [found._replace(series=series) for time, found in sorted(now.items()) if known.get(time) != found]
    return news, sorted(known.keys() - now.keys())


def _refold(
    engine: Engine, series: int, time: Ints, value: Floats, judged: Judged, moved: Ints, context: Context
) -> list[Revised]:
    """Folds the windows of the readings at `moved` anew."""
    state = engine.states.rows[series]
    profile = Profile(state["kind"].reshape(1), state["max_gap"].reshape(1))
    first = int(np.searchsorted(time, context.whole))
    time, value = time[first:], value[first:]
    alone = np.zeros(len(time), np.int64)
    folded = fold_readings(profile, alone, time, value, engine.rules.steps[0], judged.since(first))
    return climb(engine, series, profile, folded, moved, context.windows)
