"""Folds windows anew from what is stored: when it is asked for, and when the layout or the steps have changed."""

from collections.abc import Sequence

import numpy as np

from services.aggregation.application.partition.partition_store import (
    Outdated,
    PartitionStore,
    Progress,
    Recomputation,
    StoredSeries,
    Totals,
)
from services.aggregation.domain.late.context import LateRange
from services.aggregation.domain.late.recomputation import (
    READ_AHEAD,
    RecomputedChunk,
    StoredChunk,
    chunk_length,
    decided,
    is_counter,
    recompute_chunk,
    with_revisions,
)
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.series_state import RECENT


class Chunk:
    """One piece of the work: what was found in [start, end) of a series."""

    def __init__(self, series: int, start: int, end: int, found: RecomputedChunk) -> None:
        self.series, self.start, self.end, self.found = series, start, end, found


async def next_chunk(store: PartitionStore, engine: Engine, job: Recomputation) -> tuple[Chunk | None, Progress]:
    """Works out the next chunk of the job that holds readings, and where the job stands after it."""
    series = engine.states.index.get(job.series_id)
    settled = NEVER if series is None else int(engine.states.rows["settled_time"][series])
    start = None if series is None else await _start(store, engine, job.series_id, job.cursor or 0)
    if job.through is not None:
        start = job.cursor
    cursor, totals = job.cursor or 0, job.totals
    if series is None or start is None or start > settled or start >= job.end:
        return None, Progress(job.id, cursor, totals, True)
    end = start + chunk_length(engine.rules) if job.through is None else job.through
    past = await _past(store, engine, job.series_id, start, end, settled)
    if job.amends:
        past = past._replace(earlier=await store.last_before(job.series_id, start))
    found = recompute_chunk(engine, series, start, end, past, amended=job.amends)
    if found.changed:
        ids, reach = np.array(engine.states.ids, np.int64), int(engine.states.rows["max_gap"][series])
        around = [LateRange(series, start - reach, start), LateRange(series, end, end + reach + 1)]
        contexts = await store.contexts(ids, around)
        found = with_revisions(engine, series, found, [context.windows for context in contexts])
    totals = Totals(totals.readings + found.readings, totals.windows + found.windows, totals.changed + found.changed)
    # An amended reading may have been the last settled one.
    done, beyond = end > settled, None
    if not done and end >= job.end:
        done = not is_counter(engine, series) or not _goes_on(found, job.end - 1 if job.amends else start)
        if not done:
            # A counter is followed further, also over days without readings.
            following = await _start(store, engine, job.series_id, end)
            done, beyond = following is None, None if following is None else following + 1
    return Chunk(series, start, end, found), Progress(job.id, end, totals, done, end=beyond)


def _goes_on(found: RecomputedChunk, since: int) -> bool:
    """Whether what comes after the chunk may be judged otherwise than it was: the chunk has come out as another one, or
    no reading from `since` on leaves no branch."""
    return found.changed > 0 or found.anchored < since


def readmitted(engine: Engine, job: Recomputation) -> list[tuple[int, int, int]]:
    """(local index, from, to) in which readings that came too late count from now on: whole chunks. All of them do
    before the first one is worked out, for they judge what lies before and beyond it."""
    series = engine.states.index.get(job.series_id)
    if series is None or not job.include_too_late or job.totals.readings:
        return []
    length, settled = chunk_length(engine.rules), int(engine.states.rows["settled_time"][series])
    since, until = job.cursor or 0, job.end + -job.end % length
    return [(series, since - since % length, min(until, settled + 1))]


async def begin_amended(
    store: PartitionStore, engine: Engine, job: Recomputation, times: Sequence[int], voided: Sequence[int] = ()
) -> Progress:
    """Where to begin after settled readings at these event times have been amended: with the windows of the reading
    before them, which may be the open ones now. So all that were `voided` are in the first chunk: no other readings are
    between them."""
    length, first = chunk_length(engine.rules), min(times)
    before = await store.last_before(job.series_id, first)
    start = first if before is None else before[0]
    if is_counter(engine, engine.states.index[job.series_id]):
        # They may have ended a branch that began earlier.
        ids, at = np.array(engine.states.ids, np.int64), engine.states.index[job.series_id]
        gap = int(engine.states.rows["max_gap"][at])
        (context,) = await store.contexts(ids, [LateRange(at, start, start + 1, counter=True, deep=True, max_gap=gap)])
        start = min(start, context.whole)
    last = max(voided, default=first)
    through = last - last % length + length
    return Progress(job.id, start - start % length, Totals(), False, through, max(times) + 1)


async def _past(
    store: PartitionStore, engine: Engine, series_id: int, start: int, end: int, settled: int
) -> StoredChunk:
    """The chunk, of a counter with as many readings after it as judge those in it."""
    series = engine.states.index[series_id]
    gap = int(engine.states.rows["max_gap"][series])
    ahead = READ_AHEAD if is_counter(engine, series) else 0
    while True:
        past = await store.past(series_id, start, end, settled, ahead, gap)
        if len(past.following) < ahead or not ahead or decided(engine, series, end, past):
            return past
        ahead *= READ_AHEAD


async def _start(store: PartitionStore, engine: Engine, series_id: int, since: int) -> int | None:
    length = chunk_length(engine.rules)
    since -= since % length
    first = await store.first_reading(series_id, since)
    return None if first is None else max(first - first % length, since)


class Rebuild:
    """Makes the state of one series anew, chunk by chunk. What is stored stays where it agrees."""

    def __init__(self, store: PartitionStore, engine: Engine, stored: StoredSeries) -> None:
        assert stored.outdated is not None
        self._store = store
        self._engine = engine
        self._stored = stored
        self._outdated: Outdated = stored.outdated
        descriptor = stored.descriptor
        row = engine.states.blank(int(descriptor.kind), descriptor.interval, descriptor.counting)
        if not descriptor.interval:
            row["interval"], row["max_gap"] = self._outdated.interval, self._outdated.max_gap
        row["settled_time"] = row["newest"] = self._outdated.settled
        self._series = engine.states.add(stored.id, row, 0.0)
        self._cursor: int | None = self._begin()

    def _begin(self) -> int:
        """Where windows of all steps are complete and as they were, only the last chunk is folded anew."""
        if not set(self._engine.rules.steps) <= set(self._outdated.steps):
            return 0
        return max(min(self._outdated.settled, *self._outdated.frontiers), 0)

    async def next(self) -> tuple[Chunk, bool] | None:
        """The next chunk, and whether it is the last; None when there is no more."""
        if self._cursor is None:
            return None
        engine, settled = self._engine, self._outdated.settled
        length = chunk_length(engine.rules)
        start = await _start(self._store, engine, self._stored.id, self._cursor)
        if start is None or start > settled:
            # The readings are gone; what remains are windows, if any.
            start = max(settled, 0) - max(settled, 0) % length
        end = start + length
        last = end > settled
        self._cursor = None if last else end
        past = await _past(self._store, engine, self._stored.id, start, end, settled)
        found = recompute_chunk(engine, self._series, start, end, past, rebuild=True)
        own = engine.states.rows[self._series]
        if len(past.time):
            own["settled"] = past.value[-1]
            # Intervals are estimated on from the last event times.
            recent = past.time[-RECENT:]
            own["recent"][RECENT - len(recent) :] = recent
            opened = own["open"]
            if not last:
                opened["before_time"], opened["before"] = past.time[-1], past.value[-1]
        found = with_revisions(engine, self._series, found, [])
        return Chunk(self._series, start, end, found), last
