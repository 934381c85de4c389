"""Of counters the values that are accepted: what alarms see of them, as windows do (see `domain.counters`)."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, heads_of, pick
from services.aggregation.domain.counters.increases import increases
from services.aggregation.domain.readings import Readings, order_of
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine


class AcceptedValues(NamedTuple):
    """Accepted readings of counters, sorted by series and time, the increase that each brought, and since when.
    `owners`: the series; `level_time`, `level`: what each is trusted to have shown last, which may have settled
    before."""

    readings: Readings
    amount: Floats
    since: Ints
    owners: Ints
    level_time: Ints
    level: Floats


def accepted_values(engine: Engine, fresh: Readings, wanted: Bools) -> AcceptedValues | None:
    """As far as is known with `fresh` (in order of arrival) and what waits in the engine, of the `wanted` series;
    nothing of the engine is changed. None where there is nothing."""
    known = engine.buffer + fresh
    states = engine.states.rows
    counters = wanted[known.series] & (states["kind"][known.series] == Kind.COUNTER)
    if not counters.any():
        return None
    known = known.take(counters)
    known = known.take(order_of(known.series, known.time))
    repeat = np.zeros(len(known.time), bool)
    repeat[1:] = (known.series[1:] == known.series[:-1]) & (known.time[1:] == known.time[:-1])
    known = known.take(~repeat)
    heads = heads_of(known.series, np.zeros_like(known.series))
    owners = known.series[heads]
    # On copies: what has not settled is no one's truth yet.
    rows = pick(states, owners)
    own = np.repeat(np.arange(len(owners)), np.diff(np.append(heads, len(known.time))))
    decided = {at: engine.decisions[owner] for at, owner in enumerate(owners.tolist()) if owner in engine.decisions}
    gains = increases(rows["kind"], rows["counting"], rows["meter"], own, known.time, known.value, decided)
    assert gains is not None
    trusted = rows["meter"]["level_time"], rows["meter"]["level"]
    # What stands on a branch that is open yet may be taken back.
    branch = rows["meter"]["branch"]["start_time"][own[gains.at]]
    sure = (branch == NEVER) | (known.time[gains.at] < branch)
    found = known.take(gains.at[sure])
    for owner in (owners[at] for at in decided):
        for time, decision in engine.decisions[owner].items():
            if decision.kind == "VALUE":
                found.value[(found.series == owner) & (found.time == time)] = decision.value
    return AcceptedValues(found, gains.amount[sure], gains.since[sure], owners, *trusted)
