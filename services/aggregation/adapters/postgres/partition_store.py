"""`PartitionStore` on PostgreSQL: one transaction per batch, fenced by the epoch of the lease."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from services.aggregation.adapters.nats.alarm_events import alarm_events
from services.aggregation.adapters.postgres import (
    amendments,
    binary_copy,
    bookmarks,
    partition_writes,
    recomputations,
)
from services.aggregation.adapters.postgres.alarm_writes import write_alarms
from services.aggregation.adapters.postgres.correction_decisions import read_decisions
from services.aggregation.adapters.postgres.revised_announcements import revised_announcements
from services.aggregation.adapters.postgres.sensor_types import write_sensor_types
from services.aggregation.adapters.postgres.series import describe_series, leave_series, read_series, register_series
from services.aggregation.adapters.postgres.stored_columns import (
    AnchorBefore,
    AskedAnchor,
    anchors_before,
    decode_times,
    decode_values,
    raw_readings,
    stored_windows,
)
from services.aggregation.adapters.postgres.table_partitions import TablePartitions, window_partition_length
from services.aggregation.application.partition.announcements import Announcement, Announcements
from services.aggregation.application.partition.lease_store import Lease, LeaseLost
from services.aggregation.application.partition.partition_store import (
    Emptied,
    Loaded,
    Recomputation,
    StoredSeries,
    Write,
)
from services.aggregation.domain.alarms.alarm import AlarmEvent
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.late.amendments import RawReading
from services.aggregation.domain.late.conflicts import StoredReading
from services.aggregation.domain.late.context import Context, LateRange
from services.aggregation.domain.late.propagation import StoredWindows
from services.aggregation.domain.late.recomputation import StoredChunk
from services.aggregation.domain.partition.continuity import Bookmark
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.times import DAY
from services.chassis.nats import Bundle, Event
from services.chassis.postgres import Connection, Database, Outbox


class PostgresPartitionStore:
    """Readings and windows in PostgreSQL. `bundle` and `bundle_one_by_one` make announcements events, `alarm_events`
    what is told of alarms."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        outbox: Outbox,
        *,
        bundle: Callable[[Announcements], Bundle],
        bundle_one_by_one: Callable[[Sequence[Announcement]], Bundle],
        describe: Callable[[bytes], Descriptor],
        alarm_events: Callable[[Sequence[AlarmEvent]], Sequence[Event]] = alarm_events,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._rules = rules
        self._outbox = outbox
        self._bundle = bundle
        self._bundle_one_by_one = bundle_one_by_one
        self._describe = describe
        self._alarm_events = alarm_events
        self._committed = committed
        self.table_partitions = TablePartitions(database)

    async def load(self, partition: int) -> Loaded:
        """See `PartitionStore`."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            series = await read_series(connection, self._rules, "WHERE s.partition = $1 ORDER BY s.id", partition)
            rows = await connection.fetch(
                f"""
                SELECT s.id, coalesce(st.settled_us, -1) AS settled, g.late,
                    array_send(g.times_us) AS times, array_send(g.vals) AS vals
                FROM series s LEFT JOIN series_state st ON st.series_id = s.id
                JOIN segments g ON g.series_id = s.id AND g.late <> 1
                    AND g.first_us > coalesce(st.settled_us, 0) - {binary_copy.QUARTER}
                WHERE s.partition = $1
                """,
                partition,
            )
            decisions = await read_decisions(connection, [one.id for one in series])
            vacant = await connection.fetch(
                """
                SELECT v.series_id, v.step_us, v.start_us, v.revision
                FROM series s JOIN vacant_windows v ON v.series_id = s.id WHERE s.partition = $1
                """,
                partition,
            )
        ids = [np.zeros(0, np.int64)]
        times = [np.zeros(0, np.int64)]
        values = [np.zeros(0)]
        voided: list[tuple[int, int]] = []
        for row in rows:
            time, value = decode_times(row["times"]), decode_values(row["vals"])
            open_ones = time > row["settled"]
            if row["late"]:
                voided += [(row["id"], at) for at in time[open_ones].tolist()]
                continue
            times.append(time[open_ones])
            values.append(value[open_ones])
            ids.append(np.full(int(open_ones.sum()), row["id"]))
        columns = np.concatenate(ids), np.concatenate(times), np.concatenate(values)
        order = np.lexsort((columns[1], columns[0]))
        unsettled = columns[0][order], columns[1][order], columns[2][order]
        return Loaded(series, unsettled, voided, [tuple(row) for row in vacant], decisions)

    async def register(self, partition: int, descriptors: Sequence[Descriptor]) -> Sequence[StoredSeries]:
        """See `PartitionStore`."""
        async with self._database.transaction() as connection:
            return await register_series(connection, self._rules, partition, descriptors)

    async def describe(self, descriptors: Sequence[Descriptor]) -> None:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            await describe_series(connection, descriptors)

    async def learn_sensor_types(self, told: Sequence[SensorTypeInfo]) -> None:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            await write_sensor_types(connection, told)

    async def leave(self, left: Sequence[tuple[int, int]], back: Sequence[int]) -> None:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            await leave_series(connection, left, back)

    async def contexts(self, ids: Ints, ranges: Sequence[LateRange]) -> Sequence[Context]:
        """See `PartitionStore`."""
        steps = self._rules.steps
        async with self._database.connection() as connection:
            ranges, anchors = await self._reach_back(connection, ids, ranges)
            counted, other = await raw_readings(
                connection,
                [
                    (int(ids[late.series]), before.read_from(late.start), late.end)
                    for late, before in zip(ranges, anchors, strict=True)
                ],
            )
            asked: list[tuple[int, int, int, int]] = []
            for late in ranges:
                for level, step in enumerate(steps):
                    around = steps[min(level + 1, len(steps) - 1)]
                    first, last = late.start - late.start % around, -(-late.end // around) * around
                    asked.append((int(ids[late.series]), step, first, last))
            windows, revisions = await stored_windows(connection, asked)
        contexts: list[Context] = []
        for place, before in enumerate(anchors):
            mine, others = counted.take(counted.series == place), other.take(other.series == place)
            stored: list[StoredWindows] = []
            for depth in range(len(steps)):
                at = windows.series == place * len(steps) + depth
                stored.append(StoredWindows(windows.start[at], revisions[at], windows.rows[at]))
            whole, end = ranges[place].start, ranges[place].end
            contexts.append(Context(mine.time, mine.value, others.time, stored, whole, end, before.anchor))
        return contexts

    async def _reach_back(
        self, connection: Connection, ids: Ints, ranges: Sequence[LateRange]
    ) -> tuple[list[LateRange], list[AnchorBefore]]:
        """Counters: from the start of the last window with an anchor (`deep`: of the last but one); and the anchor
        before that."""
        moved = list(ranges)
        anchors = [AnchorBefore(late.start) for late in ranges]
        counters = [at for at, late in enumerate(ranges) if late.counter]
        for turn in range(3):
            counters = [at for at in counters if turn < 2 or ranges[at].deep]
            asked = [AskedAnchor(int(ids[moved[at].series]), anchors[at].start, moved[at].max_gap) for at in counters]
            for at, before in zip(counters, await anchors_before(connection, self._rules.steps[0], asked), strict=True):
                moved[at] = moved[at]._replace(start=anchors[at].start)
                anchors[at] = before
        return moved, anchors

    async def recomputations(self, partition: int, limit: int) -> Sequence[Recomputation]:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await recomputations.pending(connection, partition, limit)

    async def past(self, series_id: int, start: int, end: int, settled: int, ahead: int, max_gap: int) -> StoredChunk:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await recomputations.read_past(
                connection,
                self._rules.steps,
                series_id,
                start,
                end,
                settled,
                ahead,
                max_gap,
            )

    async def first_reading(self, series_id: int, since: int) -> int | None:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await recomputations.first_reading(connection, series_id, since)

    async def at(self, series_id: int, times: Sequence[int]) -> Mapping[int, RawReading]:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await amendments.readings_at(connection, series_id, times)

    async def stored(self, keys: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], StoredReading]:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await amendments.stored_readings(connection, keys)

    async def decisions(self, series_id: int) -> Mapping[int, Decision]:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return (await read_decisions(connection, [series_id])).get(series_id, {})

    async def last_before(self, series_id: int, time: int) -> tuple[int, float] | None:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            return await amendments.last_before(connection, series_id, time)

    async def mailbox(self, partition: int, limit: int) -> Sequence[Emptied]:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, descriptor, time_us, forced FROM emptied WHERE partition = $1 ORDER BY id LIMIT $2",
                partition,
                limit,
            )
        return [Emptied(row["id"], self._describe(row["descriptor"]), row["time_us"], row["forced"]) for row in rows]

    async def bookmark(self, lease: Lease) -> Bookmark:
        """See `PartitionStore`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT stream, position, bookmark::text AS bookmark FROM partitions
                WHERE partition = $1 AND owner = $2 AND epoch = $3
                """,
                lease.partition,
                lease.owner,
                lease.epoch,
            )
        if row is None:
            raise LeaseLost
        return bookmarks.read(row["stream"], row["position"], row["bookmark"])

    async def commit(self, lease: Lease, write: Write) -> None:
        """See `PartitionStore`."""
        await self._ensure_partitions(write)
        async with self._database.transaction() as connection:
            fenced = await connection.fetchval(
                """
                UPDATE partitions SET readings = readings + $4, stream = coalesce($5, stream),
                    position = coalesce($6, position), bookmark = coalesce($7::json, bookmark)
                WHERE partition = $1 AND owner = $2 AND epoch = $3 RETURNING 1
                """,
                lease.partition,
                lease.owner,
                lease.epoch,
                len(write.raw.time) + len(write.skipped.time),
                *bookmarks.columns(write.bookmark),
            )
            if fenced is None:
                raise LeaseLost
            await partition_writes.write_readings(connection, write)
            await partition_writes.write_windows(connection, write)
            await partition_writes.write_states(connection, write.states, self._rules.steps)
            if write.amended is not None:
                await amendments.write_amended(connection, int(write.ids[write.amended.series]), write.amended)
            if write.conflicts:
                await amendments.write_conflicts(connection, write)
            await recomputations.write_recomputed(connection, write)
            await partition_writes.write_remarks(connection, write)
            bundles = [self._bundle(announcements) for announcements in write.announcements]
            if write.revised_keys:
                revised = await revised_announcements(connection, self._rules, write.revised_keys)
                bundles.append(self._bundle_one_by_one(revised))
            await self._outbox.add_bundles(connection, bundles)
            if write.alarms:
                told = await write_alarms(connection, write.alarms)
                await self._outbox.add_many(connection, self._alarm_events(told))
        if bundles or write.alarms.events:
            self._committed()

    async def _ensure_partitions(self, write: Write) -> None:
        for readings in (write.raw, write.skipped):
            if len(readings.time):
                await self.table_partitions.ensure_raw(_periods(readings.time, DAY))
        starts: dict[int, list[int]] = {}
        for closed in write.closed:
            starts.setdefault(closed.step, []).extend(_periods(closed.start, window_partition_length(closed.step)))
        for window in write.revised:
            starts.setdefault(window.step, []).append(window.start // window_partition_length(window.step))
        for step, periods in starts.items():
            await self.table_partitions.ensure_windows(step, periods)


def _periods(time: Ints, length: int) -> list[int]:
    """The numbers of the periods of this length that the times lie in."""
    if not len(time):
        return []
    first, last = int(time.min()) // length, int(time.max()) // length
    return [first] if first == last else np.unique(time // length).tolist()
