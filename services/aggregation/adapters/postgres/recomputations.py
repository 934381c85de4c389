"""Recomputation in PostgreSQL: what is asked for (`RecomputationQueue`), what is read for it, and what of it is
written."""

from collections.abc import Sequence
from datetime import timedelta

from services.aggregation.adapters.postgres.amendments import waiting
from services.aggregation.adapters.postgres.correction_log import END_OF_TIME, OF_ROOM
from services.aggregation.adapters.postgres.priority_mailbox import CHANNEL
from services.aggregation.adapters.postgres.stored_columns import (
    AnchorBefore,
    AskedAnchor,
    anchors_before,
    raw_readings,
    readings_after,
    stored_windows,
)
from services.aggregation.application.partition.partition_store import Recomputation, Totals, Write
from services.aggregation.application.partition.recomputation_request import RecomputeRoom
from services.aggregation.domain.late.propagation import StoredWindows
from services.aggregation.domain.late.recomputation import StoredChunk
from services.aggregation.domain.times import MINUTE
from services.chassis.postgres import Connection, Database

_QUARTER = 15 * MINUTE


async def pending(connection: Connection, partition: int, limit: int) -> Sequence[Recomputation]:
    """See `PartitionStore.recomputations`."""
    rows = await connection.fetch(
        """
        SELECT id, series_id, cursor_us, end_us, include_too_late, readings, windows, changed, amends, through_us
        FROM recomputations WHERE partition = $1 AND done_time IS NULL ORDER BY amends DESC, id LIMIT $2
        """,
        partition,
        limit,
    )
    return [
        Recomputation(
            row["id"],
            row["series_id"],
            row["cursor_us"],
            row["end_us"],
            row["include_too_late"],
            Totals(row["readings"], row["windows"], row["changed"]),
            row["amends"],
            await waiting(connection, row["id"]) if row["amends"] else (),
            row["through_us"],
        )
        for row in rows
    ]


async def first_reading(connection: Connection, series_id: int, since: int) -> int | None:
    """See `PartitionStore.first_reading`."""
    return await connection.fetchval(
        """
        SELECT first_us FROM segments
        WHERE series_id = $1 AND first_us >= $2 AND times_us[cardinality(times_us)] >= $3
        ORDER BY first_us LIMIT 1
        """,
        series_id,
        since - _QUARTER,
        since,
    )


async def read_past(
    connection: Connection,
    steps: Sequence[int],
    series_id: int,
    start: int,
    end: int,
    settled: int,
    ahead: int,
    max_gap: int,
) -> StoredChunk:
    """See `PartitionStore.past`."""
    before = AnchorBefore(start)
    if ahead:
        (before,) = await anchors_before(connection, steps[0], [AskedAnchor(series_id, start, max_gap)])
    first = before.read_from(start)
    readings, other = await raw_readings(connection, [(series_id, first, end)])
    following: list[tuple[int, float]] = []
    if ahead:
        (following,) = await readings_after(connection, [(series_id, end)], ahead)
    readings = readings.take(readings.time <= settled)
    windows, revisions = await stored_windows(connection, [(series_id, step, start, end) for step in steps])
    return StoredChunk(
        readings.time,
        readings.value,
        [item for item in following if item[0] <= settled],
        [
            StoredWindows(windows.start[at], revisions[at], windows.rows[at])
            for at in (windows.series == place for place in range(len(steps)))
        ],
        before.anchor,
        other.time.tolist(),
    )


async def write_recomputed(connection: Connection, write: Write) -> None:
    """Readings that count from now on, corrections that are no more, and where the work stands."""
    for series, start, end in write.readmitted:
        await connection.execute(
            """
            UPDATE segments SET late = 0
            WHERE series_id = $1 AND late = 1 AND first_us >= $2 AND times_us[cardinality(times_us)] < $3
            """,
            int(write.ids[series]),
            start,
            end,
        )
    for series, start, end in write.recounted:
        await connection.execute(
            "DELETE FROM corrections WHERE series_id = $1 AND time_us >= $2 AND time_us < $3",
            int(write.ids[series]),
            start,
            end,
        )
    if (progress := write.progress) is not None:
        await connection.execute(
            """
            UPDATE recomputations SET cursor_us = $2, readings = $3, windows = $4, changed = $5,
                done_time = CASE WHEN $6 THEN now() END, through_us = $7, end_us = coalesce($8, end_us)
            WHERE id = $1
            """,
            progress.id,
            progress.cursor,
            *progress.totals,
            progress.done,
            progress.through,
            progress.end,
        )


async def forget_old(connection: Connection, raw_retention: timedelta) -> None:
    """Removes what is known of readings that are gone, and recomputations done a day ago: whoever asked has gone
    too."""
    await connection.execute("DELETE FROM recomputations WHERE done_time < now() - interval '1 day'")
    oldest = "extract(epoch FROM now() - $1::interval) * 1000000"
    for table in ("corrections", "correction_decisions", "amendments", "reading_conflicts"):
        await connection.execute(f"DELETE FROM {table} WHERE time_us < {oldest}", raw_retention)
    await connection.execute(f"DELETE FROM vacant_windows WHERE start_us + step_us < {oldest}", raw_retention)


class PostgresRecomputationQueue:
    """See `RecomputationQueue`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, command: RecomputeRoom) -> Sequence[int]:
        """See `RecomputationQueue`."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"""
                INSERT INTO recomputations (partition, series_id, cursor_us, end_us, include_too_late)
                SELECT s.partition, s.id, $5, $6, $7 FROM series s WHERE {OF_ROOM} RETURNING id, partition
                """,
                command.building,
                command.room,
                command.sensor_type,
                command.device,
                command.start,
                END_OF_TIME if command.end is None else command.end,
                command.include_too_late,
            )
            for partition in sorted({row["partition"] for row in rows}):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(partition))
        return [row["id"] for row in rows]

    async def done(self, entries: Sequence[int]) -> Totals | None:
        """See `RecomputationQueue`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT bool_and(done_time IS NOT NULL) AS done, coalesce(sum(readings), 0)::bigint AS readings,
                    coalesce(sum(windows), 0)::bigint AS windows, coalesce(sum(changed), 0)::bigint AS changed
                FROM recomputations WHERE id = ANY($1::bigint[])
                """,
                list(entries),
            )
        assert row is not None
        if row["done"] is False:
            return None
        return Totals(row["readings"], row["windows"], row["changed"])


class PostgresOwners:
    """See `Owners`: an entry is a recomputation of no series, which waits its turn like any other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, partition: int) -> int:
        """See `Owners`."""
        async with self._database.transaction() as connection:
            entry = await connection.fetchval(
                """
                INSERT INTO recomputations (partition, series_id, end_us, include_too_late, amends)
                VALUES ($1, 0, 0, false, true) RETURNING id
                """,
                partition,
            )
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(partition))
        return entry

    async def reached(self, entry: int) -> bool | None:
        """See `Owners`."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                "SELECT true FROM recomputations WHERE id = $1 AND done_time IS NOT NULL", entry
            )
