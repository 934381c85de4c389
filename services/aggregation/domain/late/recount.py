"""The readings of one counter, counted again with what has come late; and what is different then."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Floats, Ints, Rows
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.counters.increases import Increases, increases
from services.aggregation.domain.counters.meter_row import meter_from
from services.aggregation.domain.late.context import Context
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine


class Recount(NamedTuple):
    """What was made of the readings of one counter (of none, where the series is another kind), in order."""

    time: Ints
    gains: Increases | None
    meter: Rows
    """What is remembered after them: one row of `METER`."""

    def until(self, last: int) -> "Recount":
        """The same, of the readings up to `last`."""
        if self.gains is None:
            return self
        own = self.time[self.gains.at] <= last
        corrections = [found for found in self.gains.corrections if found.time <= last]
        return Recount(self.time[self.time <= last], self.gains.take(own, 0, corrections), self.meter)

    def since(self, first: int) -> Increases | None:
        """The increases, in the columns without the `first` readings."""
        if self.gains is None:
            return None
        return self.gains.take(self.gains.at >= first, first, [])

    def differs(self, other: "Recount") -> Ints:
        """Event times of the readings that have added something else."""
        if self.gains is None or other.gains is None:
            return np.zeros(0, np.int64)
        mine, theirs = self.added(), other.added()
        return np.array([time for time in mine.keys() | theirs.keys() if mine.get(time) != theirs.get(time)], np.int64)

    def added(self) -> dict[int, tuple[float, int, float, float]]:
        """By event time what each accepted reading has added, since when, and what anchor it is."""
        if self.gains is None:
            return {}
        gains = self.gains
        level = np.where(gains.anchored, gains.level, 0.0).tolist()
        pace = np.where(gains.anchored, gains.pace, -1.0).tolist()
        columns = gains.amount.tolist(), gains.since.tolist(), level, pace
        return dict(zip(self.time[gains.at].tolist(), zip(*columns, strict=True), strict=True))


def changed_shares(engine: Engine, series: int, before: Recount, after: Recount, time: Ints) -> Ints:
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


def recount(engine: Engine, series: int, context: Context, time: Ints, value: Floats) -> Recount:
    """The readings of a series under its rules, after the anchor that the context begins with."""
    meter = meter_from(context.anchor)
    alone = np.zeros(len(time), np.int64)
    states = engine.states.rows[series : series + 1]
    gains = increases(states["kind"], states["counting"], meter, alone, time, value, engine.decided(series))
    return Recount(time, gains, meter)


def changed_corrections(series: int, before: Recount, after: Recount) -> tuple[list[Correction], list[int]]:
    """The corrections that are new or others now, and the event times of those that are none any more."""
    if before.gains is None or after.gains is None:
        return [], []
    known = {found.time: found for found in before.gains.corrections}
    now = {found.time: found for found in after.gains.corrections}
    news = [found._replace(series=series) for time, found in sorted(now.items()) if known.get(time) != found]
    return news, sorted(known.keys() - now.keys())
