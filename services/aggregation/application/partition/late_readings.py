"""What needs a look at what is stored: late readings, readings too late, and what the next ones say of settled ones."""

from itertools import pairwise

import numpy as np

from services.aggregation.application.partition.partition_store import PartitionStore
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.late.context import LateRange, SeriesRevision, late_range, unseen
from services.aggregation.domain.late.late_batch import apply_late_batch
from services.aggregation.domain.late.late_readings import apply_late
from services.aggregation.domain.late.rejudgement import Rejudgement, rejudge
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.series import Kind
from services.aggregation.domain.windows.engine import Engine


async def apply_late_readings(
    store: PartitionStore, engine: Engine, ids: Ints, late: Readings
) -> dict[int, SeriesRevision]:
    """What became of late readings (sorted), by series."""
    revisions: dict[int, SeriesRevision] = {}
    kinds = engine.states.rows["kind"]
    groups: list[tuple[int, Readings]] = []
    plain: list[Readings] = []
    for series, own in by_series(late):
        if kinds[series] == Kind.COUNTER:
            groups.append((series, own))
        else:
            plain.append(own)
    if plain:
        owners = [int(own.series[0]) for own in plain]
        ranges = [late_range(engine, series, own.time) for series, own in zip(owners, plain, strict=True)]
        contexts = await store.contexts(ids, ranges)
        revisions.update(zip(owners, apply_late_batch(engine, plain, contexts), strict=True))
    # Most reach no further than their neighbours; of a counter, one may change the judgement on all that follow.
    for to_the_end in (False, True):
        ranges = [late_range(engine, series, own.time, to_the_end=to_the_end) for series, own in groups]
        contexts = await store.contexts(ids, ranges) if ranges else []
        further: list[tuple[int, Readings]] = []
        for (series, own), context in zip(groups, contexts, strict=True):
            found = apply_late(engine, series, own.time, own.value, context)
            if found is None:
                further.append((series, own))
            else:
                revisions[series] = found
        groups = further
    assert not groups, "a range up to the last settled reading is complete"
    return revisions


async def keep_too_late(store: PartitionStore, ids: Ints, too_late: Readings) -> tuple[Readings, int]:
    """Those that are not stored yet, and the number of the others."""
    if not len(too_late.time):
        return too_late, 0
    groups = by_series(too_late)
    ranges = [LateRange(series, int(own.time[0]), int(own.time[-1]) + 1) for series, own in groups]
    contexts = await store.contexts(ids, ranges)
    kept = no_readings()
    for (_, own), context in zip(groups, contexts, strict=True):
        kept = kept + own.take(unseen(own.time, context))
    return kept, len(too_late.time) - len(kept.time)


async def rejudge_all(
    store: PartitionStore, engine: Engine, ids: Ints, due: list[Rejudgement]
) -> dict[int, SeriesRevision]:
    """What becomes of settled readings that are judged otherwise now, by series."""
    if not due:
        return {}
    states = engine.states.rows
    starts = states["meter"]["level_time"]
    ranges = [late_range(engine, one.series, starts[[one.series]], to_the_end=True) for one in due]
    contexts = await store.contexts(ids, ranges)
    return {one.series: rejudge(engine, one, context) for one, context in zip(due, contexts, strict=True)}


def by_series(readings: Readings) -> list[tuple[int, Readings]]:
    """Sorted readings, cut into those of each series."""
    if not len(readings.time):
        return []
    cuts: Ints = np.flatnonzero(readings.series[1:] != readings.series[:-1]) + 1
    bounds = [0, *cuts.tolist(), len(readings.time)]
    return [(int(readings.series[a]), readings.take(np.arange(a, b))) for a, b in pairwise(bounds)]
