"""Turns messages of one partition into one write: readings, windows, state, position and announcements together."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import numpy as np
import structlog

from services.aggregation.application import metrics
from services.aggregation.application.alarms.partition_alarms import AlarmEvaluation, NoAlarms
from services.aggregation.application.partition.announcements import WindowKey, announce
from services.aggregation.application.partition.batch_outcome import count_late, measure, measure_corrections, saved
from services.aggregation.application.partition.late_readings import apply_late_readings, keep_too_late, rejudge_all
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.loss_reports import LossReports
from services.aggregation.application.partition.partition_store import (
    AmendedReadings,
    Emptied,
    PartitionStore,
    Progress,
    Recomputation,
    StoredSeries,
    Totals,
    Write,
)
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.application.partition.recomputation import (
    Chunk,
    Rebuild,
    begin_amended,
    next_chunk,
    readmitted,
)
from services.aggregation.application.partition.repeats import add_conflicts
from services.aggregation.application.partition.series_registry import SeriesRegistry
from services.aggregation.application.partition.spanned_windows import merge_revisions, reclose_spanned
from services.aggregation.domain.columns import Bools
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.late.amendments import RawReading, amend, take_out_unsettled
from services.aggregation.domain.late.context import SeriesRevision
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.late.recomputation import is_counter
from services.aggregation.domain.late.rejudgement import due_rejudgements
from services.aggregation.domain.partition.continuity import Bookmark, Lost
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import NO_END, SECOND
from services.aggregation.domain.windows.engine import Changes, Engine

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Clock = Callable[[], float]
OpenAlarms = Callable[[Engine, Sequence[Descriptor]], AlarmEvaluation]


def wall_clock_us() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1000


class Processor:
    """Owns the engine of one partition. After an exception it must not be used again: open a new one."""

    def __init__(
        self,
        store: PartitionStore,
        lease: Lease,
        rules: Rules,
        describe: Callable[[bytes], Descriptor],
        clock: Clock,
        open_alarms: OpenAlarms = lambda _engine, _descriptors: NoAlarms(),
        losses: LossReports | None = None,
    ) -> None:
        self._store = store
        self._lease = lease
        self._rules = rules
        self._describe = describe
        self._clock = clock
        self.engine = Engine(rules)
        self._registry = SeriesRegistry(store, lease.partition, self.engine, describe, clock, self._rebuild)
        self.alarms = open_alarms(self.engine, self._registry.descriptors)
        self._losses = losses or LossReports()
        self.amending = False
        """Readings that were processed have asked for amendments: `recompute` has something to do."""

    async def load(self) -> None:
        """Brings back what is stored of the partition."""
        loaded = await self._store.load(self._lease.partition)
        if outdated := [stored for stored in loaded.series if stored.outdated is not None]:
            await self._rebuild(outdated)
            loaded = await self._store.load(self._lease.partition)
        now = self._clock()
        self._registry.add(loaded.series, now)
        index = self.engine.states.index
        self.engine.decisions.update((index[series_id], found) for series_id, found in loaded.decisions.items())
        self.engine.voided.update((index[series_id], at) for series_id, at in loaded.voided)
        self.engine.vacant.leave(
            ((index[series_id], step, start), revision) for series_id, step, start, revision in loaded.vacant
        )
        ids, event_time, value = loaded.unsettled
        changes, rejudged = Changes(), dict[int, SeriesRevision]()
        if len(ids):
            places = np.array([index[series_id] for series_id in ids.tolist()], np.int64)
            # As if it had just arrived, except that it is stored already.
            unsettled = Readings(places, event_time, value)
            rejudged = await self._rejudge(unsettled)
            changes = self.engine.apply(unsettled, now, np.array(sorted(rejudged), np.int64))
            changes.raw = no_readings()
        await self.alarms.load(self._lease.partition, wall_clock_us())
        self.alarms.moved(list(self._registry.left.items()), ())
        write = self._write(changes, rejudged, reclosed=await self._reclose(changes, rejudged))
        if write.closed or write.revised or write.corrections or rejudged or write.alarms:
            await self._commit(write)

    async def recompute(self, caught_up: Callable[[], Awaitable[bool]]) -> bool:
        """The next chunk of what is asked to be recomputed, unless `caught_up` says that it must wait; whether there
        was any."""
        self.amending = False
        jobs = await self._store.recomputations(self._lease.partition, 1)
        if not jobs:
            return False
        if not await caught_up():
            return True
        if jobs[0].amends and jobs[0].cursor is None:
            await self._amend(jobs[0])
            return True
        if counted := readmitted(self.engine, jobs[0]):
            write = self._write(Changes())
            write.readmitted = counted
            await self._commit(write)
        chunk, progress = await next_chunk(self._store, self.engine, jobs[0])
        write = self._write(Changes()) if chunk is None else self._rewrite(chunk)
        write.progress = progress
        await self._commit(write)
        return True

    async def _amend(self, job: Recomputation) -> None:
        """Raw readings become what people say. Windows of settled ones follow by the rest of the job."""
        engine, series = self.engine, self.engine.states.index.get(job.series_id)
        if series is None:
            # Somebody waits until what had been accepted is stored.
            write = self._write(Changes())
            write.progress = Progress(job.id, 0, Totals(), True)
            await self._commit(write)
            return
        amended = amend(job.amendments, await self._store.at(job.series_id, [one.time for one in job.amendments]))
        counting = {time: reading for time, reading in amended.readings.items() if not reading.too_late}
        settled = engine.states.rows["settled_time"][series]
        past = [time for time in counting if time <= settled]
        if is_counter(engine, series):
            # Somebody may have decided about a reading, or replaced one that had been decided about.
            engine.decisions[series] = await self._store.decisions(job.series_id)
        if not job.amendments:
            past = [time for time in [job.end - 1] if time <= settled]
        unsettled = {time: reading for time, reading in counting.items() if time > settled}
        progress = Progress(job.id, 0, Totals(), True)
        if past:
            gone = [time for time in past if time in counting and counting[time].voided]
            progress = await begin_amended(self._store, engine, job, past, gone)
        changes, rejudged = Changes(), dict[int, SeriesRevision]()
        if unsettled:
            again = take_out_unsettled(engine, series, unsettled)
            rejudged = await self._rejudge(again)
            changes = engine.apply(again, self._clock(), np.array([series], np.int64))
            # They are stored already.
            changes.raw = no_readings()
        await self._evaluate_amended(job.series_id, series, counting if job.amendments else {job.end - 1: None})
        write = self._write(changes, rejudged, reclosed=await self._reclose(changes, rejudged))
        write.amended, write.progress = AmendedReadings(series, amended), progress
        await self._commit(write)

    async def _evaluate_amended(self, series_id: int, series: int, amended: Mapping[int, RawReading | None]) -> None:
        """Alarms of a series, after these of its readings were amended (None: decided about)."""
        times = sorted(amended)
        if not times:
            return
        if (ended := await self.alarms.ended(series, times)) is not None:
            counting = await self._counting(series_id, series, amended, ended.since, ended.until)
            self.alarms.revoke(series, counting, ended, times)
        if (since := self.alarms.tried_since(series, times)) is not None:
            counting = await self._counting(series_id, series, amended, since, NO_END)
            if not len(counting.time) and (last := await self._store.last_before(series_id, since)) is not None:
                counting = Readings(np.full(1, series), np.array([last[0]]), np.array([last[1]]))
            self.alarms.amended(series, counting, times, since, wall_clock_us())

    async def _counting(
        self, series_id: int, series: int, amended: Mapping[int, RawReading | None], since: int, until: int
    ) -> Readings:
        """The readings in [since, until) that count after some were amended, which is not stored yet."""
        past = await self._store.past(series_id, since, until, NO_END, 0, 0)
        counting = dict(zip(past.time.tolist(), past.value.tolist(), strict=True))
        for at, reading in amended.items():
            if reading is not None and since <= at < until:
                counting.pop(at, None)
                counting |= {at: reading.value} if reading.counts else {}
        rows = sorted(counting.items())
        return Readings(
            np.full(len(rows), series, np.int64),
            np.array([at for at, _ in rows], np.int64),
            np.array([value for _, value in rows], np.float64),
        )

    async def _rebuild(self, outdated: Sequence[StoredSeries]) -> None:
        """Makes states anew whose layout or steps are others now: each in an engine of its own."""
        log.info("aggregation.rebuilding", partition=self._lease.partition, series=len(outdated))
        for stored in outdated:
            await Processor(self._store, self._lease, self._rules, self._describe, self._clock)._start_over(stored)

    async def _start_over(self, stored: StoredSeries) -> None:
        rebuild = Rebuild(self._store, self.engine, stored)
        self._registry.begin(stored.descriptor)
        if stored.descriptor.kind == Kind.COUNTER:
            self.engine.decisions[self.engine.states.index[stored.id]] = await self._store.decisions(stored.id)
        while (found := await rebuild.next()) is not None:
            chunk, last = found
            write = self._rewrite(chunk)
            write.states = saved(self.engine, self._registry.ids, [chunk.series]) if last else ()
            # What has not been there before is no news.
            write.revised_keys = [key for key in write.revised_keys if key.revision > 1]
            await self._commit(write)

    def _rewrite(self, chunk: Chunk) -> Write:
        none = no_readings()
        found = SeriesRevision(none.time, none.value, chunk.found.revised, 0, chunk.found.corrections, [])
        changes = Changes()
        if chunk.found.open:
            changes = self.engine.apply(none, self._clock(), np.array([chunk.series], np.int64))
        write = self._write(changes, {chunk.series: found})
        if chunk.found.open:
            write.states = saved(self.engine, self._registry.ids, [chunk.series])
        write.recounted = [(chunk.series, chunk.found.recounted_from, chunk.end)]
        return write

    def next_deadline(self) -> float | None:
        """When `close_quiet` has something to do (the loop's clock)."""
        return self.engine.next_deadline(self._clock(), wall_clock_us())

    async def close_quiet(self) -> int:
        """Closes windows of series that have gone quiet; returns how many."""
        clock, wall = self._clock(), wall_clock_us()
        rejudged: dict[int, SeriesRevision] = {}
        if len(self.engine.states.open_meters()):
            rejudged = await self._rejudge(no_readings(), self.engine.quiet(clock, wall))
        changes = self.engine.tick(clock, wall)
        if not (changes.closed or changes.corrections or changes.spanned or rejudged):
            return 0
        await self._commit(self._write(changes, rejudged, reclosed=await self._reclose(changes, rejudged)))
        return sum(len(closed.series) for closed in changes.closed)

    async def keep_up_alarms(self, until: int | None = None) -> None:
        """Judges by the newest rules, and silence as of `until` (the wall clock), by which everything that had been
        accepted must have been processed."""
        changed = self.alarms.keep_up(wall_clock_us())
        if until is not None:
            self.alarms.elapse(until)
        elif not changed:
            return
        write = self._write(Changes())
        if write.alarms:
            await self._commit(write)

    async def move(self, bookmark: Bookmark, lost: Sequence[Lost]) -> None:
        """Goes on elsewhere, in another stream or in one that is shorter than it was. Raises LeaseLost."""
        write = self._write(Changes())
        self._mark(write, bookmark, lost)
        await self._commit(write)

    def _mark(self, write: Write, bookmark: Bookmark | None, lost: Sequence[Lost]) -> None:
        write.bookmark, write.lost = bookmark, lost
        self._losses.add(write.alarms, self._lease.partition, lost, wall_clock_us())

    async def process(
        self,
        messages: Sequence[Message],
        emptied: Sequence[Emptied],
        bookmark: Bookmark | None = None,
        lost: Sequence[Lost] = (),
    ) -> None:
        """The effect of the messages and of the emptied containers, committed. `bookmark`: where the partition stands
        with them; `lost`: what they show to be missing before them. Raises LeaseLost."""
        began = time.perf_counter()
        batch = await self._registry.batch(messages, emptied)
        described = await self._registry.change(messages)
        moved = await self._registry.move(messages)
        admission = self.engine.admit(batch)
        revisions = await apply_late_readings(self._store, self.engine, self._registry.ids, admission.late)
        skipped, repeated = await keep_too_late(self._store, self._registry.ids, admission.too_late)
        pending = revisions
        if due_rejudgements(self.engine, admission.fresh) and revisions:
            # It is worked out from what is stored: that has to hold the late readings first.
            await self._commit(self._write(Changes(), revisions))
            pending = {}
        rejudged = await self._rejudge(admission.fresh)
        also = np.array(sorted({*revisions, *rejudged}), np.int64)
        self.alarms.keep_up(wall_clock_us())
        self.alarms.moved(*moved)
        accepted = int(messages[-1].accepted * SECOND) if messages else wall_clock_us()
        self.alarms.readings(batch.take(np.arange(len(emptied))), admission.fresh, accepted)
        changes = self.engine.apply(admission.fresh, self._clock(), also)
        pending |= rejudged
        write = self._write(changes, pending, skipped, await self._reclose(changes, pending), described)
        write.emptied = [entry.id for entry in emptied]
        late_repeats = sum(found.duplicates for found in revisions.values())
        if admission.duplicates + changes.duplicates + repeated + late_repeats:
            await add_conflicts(self._store, self._registry.ids, self._registry.descriptors, batch, write)
            self.amending |= bool(write.superseding)
        self._mark(write, bookmark, lost)
        metrics.COMPUTE.observe(time.perf_counter() - began)
        await self._commit(write)
        if messages:
            metrics.LAG.observe(max(time.time() - messages[0].accepted, 0.0))
        metrics.EMPTIED.inc(len(emptied))
        measure(batch, admission, changes, revisions, repeated)
        measure_corrections(changes, revisions | rejudged)

    async def _rejudge(self, fresh: Readings, quiet: Bools | None = None) -> dict[int, SeriesRevision]:
        """Before the engine settles them: what these readings show of settled ones."""
        return await rejudge_all(
            self._store, self.engine, self._registry.ids, due_rejudgements(self.engine, fresh, quiet)
        )

    async def _reclose(self, changes: Changes, revisions: dict[int, SeriesRevision]) -> list[RevisedWindow]:
        return await reclose_spanned(self._store, self.engine, self._registry.ids, changes, revisions)

    async def _commit(self, write: Write) -> None:
        with metrics.COMMIT.time():
            await self._store.commit(self._lease, write)
        self._losses.report(self._lease.partition, write.lost)
        for event in write.alarms.events:
            metrics.ALARMS.labels(event.alarm.kind, "raised" if event.alarm.open else "cleared").inc()

    def _follow_vacant(
        self, revised: Sequence[RevisedWindow]
    ) -> tuple[list[RevisedWindow], list[tuple[int, int, int]]]:
        """The windows with revisions that go on from those of vacant ones, and which these were."""
        vacant, found = self.engine.vacant, list[RevisedWindow]()
        filled: list[tuple[int, int, int]] = []
        for window in revised:
            place = window.series, window.step, window.start
            if not window.row["count"]:
                vacant.leave([(place, window.revision)])
            elif before := vacant.fill(place):
                window = window._replace(revision=window.revision + before)
                filled.append(place)
            found.append(window)
        return found, filled

    def _write(
        self,
        changes: Changes,
        revisions: dict[int, SeriesRevision] | None = None,
        skipped: Readings | None = None,
        reclosed: Sequence[RevisedWindow] = (),
        described: Sequence[int] = (),
    ) -> Write:
        revisions, skipped = revisions or {}, skipped or no_readings()
        states = self.engine.states.rows
        late = [Readings(np.full(len(own.time), series), own.time, own.value) for series, own in revisions.items()]
        filled = self.engine.vacant.fill_closed(states, self._rules.steps, changes.closed)
        revised, more = self._follow_vacant(merge_revisions(changes, revisions, reclosed))
        corrections: list[Correction] = list(changes.corrections)
        withdrawn: list[tuple[int, int]] = []
        for series, found in revisions.items():
            corrections.extend(found.corrections)
            withdrawn.extend((series, time) for time in found.withdrawn)
        raw = changes.raw
        if late:
            raw = Readings(*(np.concatenate(column) for column in zip(raw, *late, strict=True))).sorted()
        moved = {
            series
            for series, found in revisions.items()
            if len(found.time) or found.corrections or found.withdrawn or found.revised
        }
        dirty = sorted(moved.union(described, changes.touched.tolist(), (window.series for window in reclosed)))
        now = wall_clock_us()
        self.alarms.corrections(corrections)
        self.alarms.windows(changes.closed, [window for window in revised if window.row["count"]])
        return Write(
            ids=self._registry.ids,
            max_gaps=states["max_gap"].copy(),
            kinds=states["kind"].copy(),
            raw=raw,
            skipped=skipped,
            closed=changes.closed,
            revised=revised,
            states=saved(self.engine, self._registry.ids, dirty),
            corrections=corrections,
            alarms=self.alarms.take(),
            filled=[*filled, *more],
            withdrawn=withdrawn,
            late=count_late(revisions, skipped),
            announcements=[
                found
                for closed in changes.closed
                if (found := announce(self._rules, states, self._registry.ids, self._registry.descriptors, closed, now))
                is not None
            ],
            revised_keys=[
                WindowKey(
                    self._registry.descriptors[window.series],
                    int(self._registry.ids[window.series]),
                    window.step,
                    window.start,
                    window.revision,
                    int(states["settled_time"][window.series]),
                )
                for window in revised
                if window.visible and self._rules.announces(window.step, window.start + window.step, now)
            ],
        )
