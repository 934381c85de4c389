"""Settled readings of counters that are judged otherwise for what comes next: a branch that is believed, or that was
false."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools
from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.late.context import Context, SeriesRevision
from services.aggregation.domain.late.late_readings import refold
from services.aggregation.domain.late.recount import changed_corrections, changed_shares, recount
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.windows.engine import Engine


class Rejudgement(NamedTuple):
    """Readings of a counter that are about to settle, and judge settled ones otherwise."""

    series: int
    readings: Readings


def due_rejudgements(engine: Engine, fresh: Readings, quiet: Bools | None = None) -> list[Rejudgement]:
    """Those of `Engine.apply` with these fresh readings, or of `Engine.tick` where these series are quiet."""
    found: list[Rejudgement] = []
    states = engine.states.rows
    for series in engine.states.open_meters():
        new = fresh.take(fresh.series == series)
        if not quiet[series] if quiet is not None else not len(new.time):
            continue
        # As they will be settled: of equal event times the first that came.
        both = (engine.buffer.take(engine.buffer.series == series) + new).sorted()
        first = np.ones(len(both.time), bool)
        first[1:] = both.time[1:] != both.time[:-1]
        both = both.take(first)
        if quiet is None:
            newest = max(int(both.time[-1]), int(states["newest"][series]))
            both = both.take(both.time <= newest - engine.rules.grace)
        alone, own = np.zeros(len(both.time), np.int64), states[series : series + 1]
        meter, decided = own["meter"].copy(), engine.decided(series)
        gains = increases(own["kind"], own["counting"], meter, alone, both.time, both.value, decided)
        if gains is not None and gains.past:
            found.append(Rejudgement(series, both))
    return found


def rejudge(engine: Engine, due: Rejudgement, context: Context) -> SeriesRevision:
    """What becomes of the settled readings. `context` reaches beyond the last of them."""
    state = engine.states.rows[due.series]
    settled = context.time <= state["settled_time"]
    time, value = context.time[settled], context.value[settled]
    before = recount(engine, due.series, context, time, value)
    after = recount(
        engine,
        due.series,
        context,
        np.concatenate([time, due.readings.time]),
        np.concatenate([value, due.readings.value]),
    ).until(int(state["settled_time"]))
    moved = np.concatenate([before.differs(after), changed_shares(engine, due.series, before, after, time)])
    revised = refold(engine, due.series, time, value, after, moved, context)
    corrections, withdrawn = changed_corrections(due.series, before, after)
    return SeriesRevision(time[:0], value[:0], revised, 0, corrections, withdrawn)
