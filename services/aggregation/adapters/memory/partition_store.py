"""`PartitionStore` in memory: the same promises as the one on PostgreSQL, for tests and the reference of its contract
suite."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.aggregation.adapters.memory.alarm_stores import InMemoryAlarmStore
from services.aggregation.adapters.memory.amendments import StoredAmendment, applied, settle_amendments
from services.aggregation.application.partition.announcements import Announcement
from services.aggregation.application.partition.lease_store import Lease, LeaseLost
from services.aggregation.application.partition.partition_store import (
    Emptied,
    Loaded,
    Outdated,
    Recomputation,
    SavedState,
    StoredSeries,
    Totals,
    Write,
)
from services.aggregation.domain.columns import Ints, Rows
from services.aggregation.domain.counters.correction import Correction, Decision
from services.aggregation.domain.counters.meter_row import NO_ANCHOR, Anchor
from services.aggregation.domain.late.amendments import AskedAmendment, RawReading
from services.aggregation.domain.late.conflicts import ReadingConflict, StoredReading
from services.aggregation.domain.late.context import Context, LateRange
from services.aggregation.domain.late.propagation import StoredWindows
from services.aggregation.domain.late.recomputation import StoredChunk
from services.aggregation.domain.partition.continuity import Bookmark, Lost
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor, SeriesInfo
from services.aggregation.domain.times import NEVER, NO_END
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.domain.windows.span_cover import cover
from services.aggregation.domain.windows.span_statistics import RawRange, join, singles, spans
from services.aggregation.domain.windows.summary import SUMMARY

Key = tuple[int, int, int]
"""(series id, step, start)."""


class InMemoryPartitionStore:
    """Everything in dictionaries. `epochs` says who holds which partition."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.series: dict[int, tuple[int, Descriptor]] = {}
        self.states: dict[int, SavedState] = {}
        self.counted: dict[int, dict[int, float]] = {}
        self.skipped: dict[int, dict[int, float]] = {}
        self.voided: dict[int, dict[int, RawReading]] = {}
        self.vacant: dict[Key, int] = {}
        self.decided: dict[int, dict[int, Decision]] = {}
        self.overruled: dict[tuple[int, int], Correction] = {}
        """What had been made of readings about which people have decided."""
        self.amendments: dict[int, StoredAmendment] = {}
        self.conflicts: dict[tuple[int, int], tuple[int, ReadingConflict]] = {}
        self.windows: dict[Key, tuple[int, Rows]] = {}
        self.announced: list[Announcement] = []
        self.bookmarks: dict[int, Bookmark] = {}
        self.lost: list[Lost] = []
        self.epochs: dict[int, int] = {}
        self.left: dict[int, int] = {}
        self.types: dict[str, SensorTypeInfo] = {}
        self.emptied: list[tuple[int, Emptied]] = []
        self.alarms = InMemoryAlarmStore(self._partition_of, self._author_of)
        self.corrections: dict[tuple[int, int], Correction] = {}
        self.jobs: dict[int, tuple[int, Recomputation]] = {}
        self.done: dict[int, Totals] = {}
        self.made_for: dict[int, tuple[int, ...]] = {}

    def _author_of(self, series_id: int, time: int) -> tuple[str, str]:
        own = [one for one in self.amendments.values() if (one.series_id, one.time) == (series_id, time)]
        return (own[-1].author, own[-1].reason) if own else ("", "")

    def _partition_of(self, series_id: int) -> int | None:
        """None for an alarm that is of no series."""
        return self.series[series_id][0] if series_id in self.series else None

    async def load(self, partition: int) -> Loaded:
        """See `PartitionStore`."""
        found = [self._stored(at) for at, (owner, _) in sorted(self.series.items()) if owner == partition]
        rows = [
            (one.id, time, value)
            for one in found
            for time, value in sorted(self.counted.get(one.id, {}).items())
            if one.id not in self.states or time > self.states[one.id].settled
        ]
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        ids = {one.id for one in found}
        voided = [
            (series_id, time)
            for series_id, held in self.voided.items()
            for time in held
            if series_id in ids and (series_id not in self.states or time > self.states[series_id].settled)
        ]
        return Loaded(
            found,
            (np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64)),
            voided,
            [(*key, revision) for key, revision in self.vacant.items() if key[0] in ids],
            {series_id: found for series_id, found in self.decided.items() if series_id in ids},
        )

    def _stored(self, series_id: int) -> StoredSeries:
        state = self.states.get(series_id)
        if state is None or self.made_for[series_id] == self._rules.steps:
            found = self.series[series_id][1], state.state if state else None
            return StoredSeries(series_id, *found, left=self.left.get(series_id))
        steps = self.made_for[series_id]
        outdated = Outdated(state.settled, state.interval, state.max_gap, steps, state.frontiers)
        return StoredSeries(series_id, self.series[series_id][1], None, outdated, self.left.get(series_id))

    def change_rules(self, rules: Rules) -> None:
        """The service comes back with other settings."""
        self._rules = rules

    async def register(self, partition: int, descriptors: Sequence[Descriptor]) -> Sequence[StoredSeries]:
        """See `PartitionStore`."""
        known = {descriptor.key: at for at, (_, descriptor) in self.series.items()}
        ids = [known.setdefault(descriptor.key, len(known) + 1) for descriptor in descriptors]
        for at, descriptor in zip(ids, descriptors, strict=True):
            _, known = self.series.get(at, (0, descriptor))
            self.series[at] = (partition, known.updated(descriptor))
        return [self._stored(at) for at in ids]

    async def describe(self, descriptors: Sequence[Descriptor]) -> None:
        """See `PartitionStore`."""
        news = {descriptor.key: descriptor for descriptor in descriptors}
        for at, (partition, known) in self.series.items():
            self.series[at] = (partition, known.updated(news.get(known.key, known)))

    async def learn_sensor_types(self, told: Sequence[SensorTypeInfo]) -> None:
        """See `PartitionStore`."""
        for one in told:
            if one.id not in self.types or self.types[one.id].told < one.told:
                self.types[one.id] = one

    async def sensor_types(self) -> Mapping[str, SensorTypeInfo]:
        """See `SensorTypes`."""
        return self.types

    async def leave(self, left: Sequence[tuple[int, int]], back: Sequence[int]) -> None:
        """See `PartitionStore`."""
        self.left.update(left)
        for series_id in back:
            self.left.pop(series_id, None)

    async def contexts(self, ids: Ints, ranges: Sequence[LateRange]) -> Sequence[Context]:
        """See `PartitionStore`."""
        return [self._context(int(ids[late.series]), late) for late in ranges]

    def _anchor(self, series_id: int, before: int) -> tuple[int, Anchor]:
        """The last anchor of a counter, and the start of its window."""
        found = [
            (start, Anchor(int(row["level_time"]), float(row["level"]), float(row["pace"])))
            for start, row in self._before(series_id, self._rules.steps[0], before)
            if row["level_time"] != NEVER
        ]
        return found[-1] if found else (before, NO_ANCHOR)

    def _context(self, series_id: int, late: LateRange) -> Context:
        anchor, first = NO_ANCHOR, late.start
        if late.counter:
            for _ in range(1 + late.deep):
                late = late._replace(start=self._anchor(series_id, late.start)[0])
            _, anchor = self._anchor(series_id, late.start)
            first = late.start if anchor.time == NEVER else min(late.start, anchor.time + 1)
        own = sorted(item for item in self.counted.get(series_id, {}).items() if first <= item[0] < late.end)
        other = [time for time in self._other(series_id) if late.start <= time < late.end]
        steps = self._rules.steps
        stored: list[StoredWindows] = []
        for depth, step in enumerate(steps):
            around = steps[min(depth + 1, len(steps) - 1)]
            first, last = late.start - late.start % around, -(-late.end // around) * around
            stored.append(self._windows(series_id, step, first, last))
        return Context(
            np.array([time for time, _ in own], np.int64),
            np.array([value for _, value in own], np.float64),
            np.array(other, np.int64),
            stored,
            late.start,
            late.end,
            anchor,
        )

    def _other(self, series_id: int) -> list[int]:
        """Event times of the readings that do not count."""
        return sorted({**self.skipped.get(series_id, {}), **self.voided.get(series_id, {})})

    def _before(self, series_id: int, step: int, end: int) -> list[tuple[int, Rows]]:
        return sorted(
            ((key[2], row) for key, (_, row) in self.windows.items() if key[:2] == (series_id, step) and key[2] < end),
            key=lambda item: item[0],
        )

    def _windows(self, series_id: int, step: int, first: int, last: int) -> StoredWindows:
        found = sorted(
            (key[2], revision, row)
            for key, (revision, row) in self.windows.items()
            if key[:2] == (series_id, step) and first <= key[2] < last
        )
        return StoredWindows(
            np.array([start for start, _, _ in found], np.int64),
            np.array([revision for _, revision, _ in found], np.int64),
            np.array([row for _, _, row in found], SUMMARY),
        )

    async def recomputations(self, partition: int, limit: int) -> Sequence[Recomputation]:
        """See `PartitionStore`."""
        return [job for _, (owner, job) in sorted(self.jobs.items()) if owner == partition][:limit]

    async def first_reading(self, series_id: int, since: int) -> int | None:
        """See `PartitionStore`."""
        held = (self.counted.get(series_id, {}), self._other(series_id))
        return min((time for readings in held for time in readings if time >= since), default=None)

    async def past(self, series_id: int, start: int, end: int, settled: int, ahead: int, max_gap: int) -> StoredChunk:
        """See `PartitionStore`."""
        anchor = self._anchor(series_id, start)[1] if ahead else NO_ANCHOR
        first = start if anchor.time == NEVER else min(start, anchor.time + 1)
        counted = {at: value for at, value in self.counted.get(series_id, {}).items() if at <= settled}
        own = {at: value for at, value in counted.items() if first <= at < end}
        following = sorted(item for item in counted.items() if item[0] >= end)[:ahead]
        windows = [self._windows(series_id, step, start, end) for step in self._rules.steps]
        time = np.array(sorted(own), np.int64)
        value = np.array([own[at] for at in time.tolist()], np.float64)
        other = [at for at in self._other(series_id) if start <= at < end]
        return StoredChunk(time, value, following, windows, anchor, other)

    async def at(self, series_id: int, times: Sequence[int]) -> Mapping[int, RawReading]:
        """See `PartitionStore`."""
        found = {time: RawReading(value) for time, value in self.counted.get(series_id, {}).items()}
        found |= {time: RawReading(value, too_late=True) for time, value in self.skipped.get(series_id, {}).items()}
        found |= self.voided.get(series_id, {})
        return {time: found[time] for time in times if time in found}

    async def stored(self, keys: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], StoredReading]:
        """See `PartitionStore`."""
        found: dict[tuple[int, int], StoredReading] = {}
        for series_id, time in keys:
            for reading in (await self.at(series_id, [time])).values():
                people = [one for one in applied(self.amendments, series_id, time) if one.author]
                found[series_id, time] = StoredReading(reading, bool(people))
        return found

    def decide(self, series_id: int, time: int, decision: Decision) -> None:
        """Somebody decides about a correction; `decisions` has it from now on."""
        if (correction := self.corrections.get((series_id, time))) is not None:
            self.overruled.setdefault((series_id, time), correction)
        self.decided.setdefault(series_id, {})[time] = decision

    def withdraw(self, series_id: int, time: int) -> bool:
        """Somebody replaces the reading: what would hide the new value holds no longer. Whether there was anything."""
        decided = self.decided.get(series_id, {})
        if time not in decided or decided[time].kind == "RESET":
            return False
        del decided[time]
        return True

    async def decisions(self, series_id: int) -> Mapping[int, Decision]:
        """See `PartitionStore`."""
        return dict(self.decided.get(series_id, {}))

    async def last_before(self, series_id: int, time: int) -> tuple[int, float] | None:
        """See `PartitionStore`."""
        return max((item for item in self.counted.get(series_id, {}).items() if item[0] < time), default=None)

    async def mailbox(self, partition: int, limit: int) -> Sequence[Emptied]:
        """See `PartitionStore`."""
        return [entry for owner, entry in self.emptied if owner == partition][:limit]

    async def bookmark(self, lease: Lease) -> Bookmark:
        """See `PartitionStore`."""
        self._fence(lease)
        return self.bookmarks.get(lease.partition, Bookmark())

    def _fence(self, lease: Lease) -> None:
        if self.epochs.get(lease.partition, lease.epoch) != lease.epoch:
            raise LeaseLost

    async def commit(self, lease: Lease, write: Write) -> None:
        """See `PartitionStore`. Storing a reading or a first revision twice is an error, as it is in PostgreSQL."""
        self._fence(lease)
        if write.bookmark is not None:
            self.bookmarks[lease.partition] = write.bookmark
        self.lost.extend(write.lost)
        for readings, into in ((write.raw, self.counted), (write.skipped, self.skipped)):
            for place, time, value in zip(*(column.tolist() for column in readings), strict=True):
                own = into.setdefault(int(write.ids[place]), {})
                assert time not in own, "a reading was stored twice"
                own[time] = value
        for closed in write.closed:
            for at in range(len(closed.series)):
                key = (int(write.ids[closed.series[at]]), closed.step, int(closed.start[at]))
                assert closed.revision[at] > 1 or key not in self.windows, "a window closed twice with revision 1"
                self.windows[key] = (int(closed.revision[at]), closed.rows[at].copy())
        for place in write.filled:
            del self.vacant[int(write.ids[place[0]]), *place[1:]]
        for window in write.revised:
            key = (int(write.ids[window.series]), window.step, window.start)
            if window.row["count"]:
                self.windows[key] = (window.revision, window.row.copy())
            else:
                del self.windows[key]
                self.vacant[key] = window.revision
        self.states.update((state.series_id, state) for state in write.states)
        self.made_for.update((state.series_id, self._rules.steps) for state in write.states)
        self._amended(write)
        self._conflicts(write)
        self._recomputed(write)
        for series, time in write.withdrawn:
            self.corrections.pop((int(write.ids[series]), time), None)
        for found in write.corrections:
            self.corrections[int(write.ids[found.series]), found.time] = found
        gone = set(write.emptied)
        self.emptied = [entry for entry in self.emptied if entry[1].id not in gone]
        self.alarms.write(write.alarms)
        for announcements in write.announcements:
            self.announced.extend(announcements.one_by_one())
        for key in write.revised_keys:
            info = self.info(key.series_id)
            end = key.start + key.step
            pieces = self.pieces([info], key.start, end, self._rules.steps.index(key.step), key.settled)
            found = spans([info], pieces, key.start, end, key.step)[0]
            self.announced.append(
                Announcement(key.descriptor, key.series_id, key.step, key.start, key.revision, found.statistics)
            )

    def _conflicts(self, write: Write) -> None:
        for one in write.conflicts:
            key = int(write.ids[one.series]), one.time
            self.conflicts[key] = (self.conflicts.get(key, (0, one))[0] + 1, one)
        by_series: dict[int, list[AskedAmendment]] = {}
        for series, time, value in write.superseding:
            series_id, entry = int(write.ids[series]), len(self.amendments) + 1
            self.amendments[entry] = StoredAmendment(series_id, time, value)
            by_series.setdefault(series_id, []).append(AskedAmendment(entry, time, value))
        for series_id, asked in by_series.items():
            job = Recomputation(-asked[0].id, series_id, None, 0, False, Totals(), True, asked)
            self.jobs[job.id] = (self.series[series_id][0], job)

    def _amended(self, write: Write) -> None:
        if write.amended is None:
            return
        series_id = int(write.ids[write.amended.series])
        counted, skipped = self.counted.setdefault(series_id, {}), self.skipped.setdefault(series_id, {})
        voided = self.voided.setdefault(series_id, {})
        for time, reading in write.amended.amended.readings.items():
            for own in (counted, skipped, voided):
                own.pop(time, None)
            if reading.voided:
                voided[time] = reading
            else:
                (skipped if reading.too_late else counted)[time] = reading.value
        settle_amendments(self.amendments, write.amended.amended.settled)

    def _recomputed(self, write: Write) -> None:
        for series, start, end in write.readmitted:
            key = int(write.ids[series])
            for time in [time for time in self.skipped.get(key, {}) if start <= time < end]:
                self.counted.setdefault(key, {})[time] = self.skipped[key].pop(time)
        for series, start, end in write.recounted:
            key = int(write.ids[series])
            for time in [time for owner, time in self.corrections if owner == key and start <= time < end]:
                del self.corrections[key, time]
        if (progress := write.progress) is not None:
            owner, job = self.jobs.pop(progress.id)
            if progress.done:
                self.done[progress.id] = progress.totals
            else:
                job = job._replace(cursor=progress.cursor, totals=progress.totals, through=progress.through)
                job = job._replace(amendments=(), end=job.end if progress.end is None else progress.end)
                self.jobs[progress.id] = (owner, job)

    def info(self, series_id: int) -> SeriesInfo:
        """What a reader knows of a series."""
        _, descriptor = self.series[series_id]
        state = self.states.get(series_id)
        return SeriesInfo(
            series_id,
            *descriptor.key,
            int(descriptor.kind),
            descriptor.unit,
            state.interval if state else descriptor.interval,
            state.max_gap if state else self._rules.max_gap(descriptor.interval),
            state.frontiers if state else (),
            descriptor.counting,
            series_id in self.decided,
            self.decided.get(series_id, {}),
        )

    def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int, settled: int = NO_END) -> Folded:
        """See `Snapshot`."""
        steps = self._rules.steps
        windows: list[Folded] = []
        ranges: list[RawRange] = []
        readings = no_readings()
        for place, info in enumerate(infos):
            found = cover(info, steps, start, end, level)
            for depth, first, last in found.windows:
                stored = self._windows(info.id, steps[depth], first, last)
                windows.append(Folded(np.full(len(stored.start), place), stored.start, stored.rows))
            for first, last in found.raw:
                following = sorted(item for item in self.counted.get(info.id, {}).items() if item[0] >= last)
                _, anchor = self._anchor(info.id, first)
                ranges.append(RawRange(place, first, last, anchor, following, settled))
                own = sorted(
                    item for item in self.counted.get(info.id, {}).items() if ranges[-1].read_from <= item[0] < last
                )
                readings = readings + Readings(
                    np.full(len(own), len(ranges) - 1),
                    np.array([time for time, _ in own], np.int64),
                    np.array([value for _, value in own], np.float64),
                )
        return join([*windows, singles(infos, ranges, readings)])
