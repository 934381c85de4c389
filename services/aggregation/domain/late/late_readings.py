"""Late readings: they correct windows that have settled already.

A late reading changes the window that it lies in, and the edges of the windows of its neighbours. The finest of these
windows are folded anew from raw readings, the coarser ones from the finer. What is stored already gets a higher
revision where people see something else of it now; what is still open is replaced in the state, and closes when it is
due.
"""

import numpy as np

from services.aggregation.domain.columns import Floats, Ints
from services.aggregation.domain.counters.meter_row import UNDECIDED
from services.aggregation.domain.late.context import Context, SeriesRevision, unseen
from services.aggregation.domain.late.propagation import RevisedWindow, close_again, move_before, propagate
from services.aggregation.domain.late.recount import Recount, changed_corrections, changed_shares, recount
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.fold import Profile, fold_readings


def apply_late(engine: Engine, series: int, time: Ints, value: Floats, context: Context) -> SeriesRevision | None:
    """Places late readings (sorted by time) of one series, and moves its state on. None, and nothing has changed, when
    what they say about a counter reaches beyond the range: read on to the last settled reading, and further back."""
    new = unseen(time, context)
    duplicates = len(time) - len(new)
    time, value = time[new], value[new]
    if not len(time):
        return SeriesRevision(time, value, [], duplicates, [], [])
    state = engine.states.rows[series]
    settled = context.time <= state["settled_time"]
    known_time, known_value = context.time[settled], context.value[settled]
    all_time, all_value = np.concatenate([known_time, time]), np.concatenate([known_value, value])
    order = np.argsort(all_time, kind="stable")
    all_time, all_value = all_time[order], all_value[order]
    before = recount(engine, series, context, known_time, known_value)
    after = recount(engine, series, context, all_time, all_value)
    to_the_end = context.end > state["settled_time"]
    if not to_the_end and (before.meter.tobytes() != after.meter.tobytes() or after.meter["open"][0] == UNDECIDED):
        return None
    at = np.searchsorted(all_time, time)
    first = int(np.searchsorted(all_time, context.whole))
    around = np.unique(np.clip(np.concatenate([at - 1, at, at + 1]), first, len(all_time) - 1))
    moved = np.concatenate(
        [all_time[around], before.differs(after), changed_shares(engine, series, before, after, all_time)]
    )
    if len(moved) and int(moved.min()) < context.whole:
        return None
    if to_the_end:
        state["meter"] = after.meter[0]
        engine.states.note_open_meters([series])
    revised = refold(engine, series, all_time, all_value, after, moved, context)
    move_before(engine, series, all_time, all_value)
    if before.meter.tobytes() != after.meter.tobytes():
        close_again(engine, series, before.meter, after.meter)
    corrections, withdrawn = changed_corrections(series, before, after)
    return SeriesRevision(time, value, revised, duplicates, corrections, withdrawn)


def refold(
    engine: Engine, series: int, time: Ints, value: Floats, recounted: Recount, moved: Ints, context: Context
) -> list[RevisedWindow]:
    """Folds the windows of the readings at `moved` anew."""
    state = engine.states.rows[series]
    profile = Profile(state["kind"].reshape(1), state["max_gap"].reshape(1))
    first = int(np.searchsorted(time, context.whole))
    time, value = time[first:], value[first:]
    alone = np.zeros(len(time), np.int64)
    folded = fold_readings(profile, alone, time, value, engine.rules.steps[0], recounted.since(first))
    return propagate(engine, series, profile, folded, moved, context.windows)
