"""Readings of counters that were believed at once, and are revoked by the reading after them."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools
from services.aggregation.domain.counters.policy import rules_of
from services.aggregation.domain.late.context import Context, SeriesRevision
from services.aggregation.domain.late.late_readings import refold
from services.aggregation.domain.late.recount import changed_corrections, changed_shares, recount
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine


class Revocation(NamedTuple):
    """A settled reading of a counter that was believed at once, and the reading after it, which revokes that."""

    series: int
    time: int
    next_time: int
    next_value: float


def due_revocations(engine: Engine, fresh: Readings, quiet: Bools | None = None) -> list[Revocation]:
    """Beliefs that readings about to settle will revoke: those of `Engine.apply` with these fresh readings, or of
    `Engine.tick` where these series are quiet."""
    found: list[Revocation] = []
    for series in engine.states.revocable().tolist():
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
            found.append(Revocation(series, int(meter["level_time"]), time, value))
    return found


def revoke(engine: Engine, revocation: Revocation, context: Context) -> SeriesRevision:
    """Takes back what the last settled reading of the series has added. `context` reaches beyond it."""
    state = engine.states.rows[revocation.series]
    settled = context.time <= state["settled_time"]
    time, value = context.time[settled], context.value[settled]
    before = recount(engine, revocation.series, context, time, value)
    after = recount(
        engine,
        revocation.series,
        context,
        np.append(time, revocation.next_time),
        np.append(value, revocation.next_value),
    ).until(revocation.time)
    meter = state["meter"]
    meter["level_time"], meter["level"] = meter["old_time"], meter["old"]
    meter["old_time"], meter["old"] = NEVER, 0.0
    moved = np.concatenate(
        [before.differs(after), [revocation.time], changed_shares(engine, revocation.series, before, after, time)]
    )
    revised = refold(engine, revocation.series, time, value, after, moved, context)
    corrections, withdrawn = changed_corrections(revocation.series, before, after)
    return SeriesRevision(time[:0], value[:0], revised, 0, corrections, withdrawn)
