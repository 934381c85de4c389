"""Amendments of readings in PostgreSQL: what is asked for, what the owner reads and writes, and what is listed."""

from collections.abc import Mapping, Sequence

import asyncpg

from services.aggregation.adapters.postgres.binary_copy import QUARTER
from services.aggregation.adapters.postgres.correction_decisions import withdraw
from services.aggregation.adapters.postgres.priority_mailbox import CHANNEL
from services.aggregation.adapters.postgres.value_limits import read_limits
from services.aggregation.application.partition.amendment_request import (
    AmendmentDone,
    AmendReading,
    RangeVoided,
    VoidRange,
)
from services.aggregation.application.partition.partition_store import AmendedReadings, Write
from services.aggregation.domain.errors import TooManyReadings
from services.aggregation.domain.late.amendments import (
    Amendment,
    AmendmentKind,
    AmendmentOutcome,
    AskedAmendment,
    RawReading,
)
from services.aggregation.domain.late.conflicts import StoredReading
from services.aggregation.domain.series import SeriesInfo, SeriesKey
from services.chassis.postgres import Connection, Database
from services.chassis.value_limits import ValueLimits

SUPERSEDED = "a later value was sent"
"""The reason of amendments by nobody."""
OF_SERIES = "s.building = $1 AND s.room = $2 AND s.sensor_type = $3 AND s.device = $4"
_TOO_LATE, _VOIDED = 1, 2
"""Bits of `segments.late`."""
# A segment of which readings are others from now on is cut where they do not count alike.
_REWRITE = f"""
WITH changed AS (
    SELECT * FROM unnest($2::bigint[], $3::double precision[], $4::smallint[]) AS c (time_us, value, late)
), gone AS (
    DELETE FROM segments WHERE series_id = $1 AND first_us <= $6::bigint
        AND first_us >= $5::bigint - $5::bigint % {QUARTER}
        AND times_us && $2
    RETURNING series_id, first_us, late, times_us, vals
), parts AS (
    SELECT g.series_id, g.first_us, g.late AS was, coalesce(c.late, g.late) AS late, r.time_us,
        coalesce(c.value, r.value) AS value
    FROM gone g CROSS JOIN LATERAL unnest(g.times_us, g.vals) AS r (time_us, value)
    LEFT JOIN changed c ON c.time_us = r.time_us
)
INSERT INTO segments (series_id, first_us, late, times_us, vals)
SELECT series_id, min(time_us), late, array_agg(time_us ORDER BY time_us), array_agg(value ORDER BY time_us)
FROM parts GROUP BY series_id, first_us, was, late
"""
_SHOWN = """
SELECT DISTINCT ON (i.place, a.time_us) i.place, a.time_us, a.value, a.original, a.author, a.reason,
    (extract(epoch FROM a.create_time) * 1000000)::bigint AS created
FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, place)
JOIN amendments a ON a.series_id = i.id AND a.time_us >= $2 AND a.time_us < $3 AND a.outcome = 1
ORDER BY i.place, a.time_us, a.id DESC
"""


async def waiting(connection: Connection, recomputation: int) -> Sequence[AskedAmendment]:
    """Those that have not been applied, in the order in which they were asked for."""
    rows = await connection.fetch(
        "SELECT id, time_us, value, overrules FROM amendments WHERE recomputation = $1 AND outcome IS NULL ORDER BY id",
        recomputation,
    )
    return [AskedAmendment(*row) for row in rows]


async def readings_at(connection: Connection, series_id: int, times: Sequence[int]) -> Mapping[int, RawReading]:
    """See `PartitionStore.at`."""
    rows = await connection.fetch(
        f"""
        SELECT r.time_us, r.value, s.late FROM unnest($2::bigint[]) AS t (time_us)
        JOIN segments s ON s.series_id = $1 AND s.first_us <= t.time_us
            AND s.first_us >= t.time_us - t.time_us % {QUARTER}
        CROSS JOIN LATERAL unnest(s.times_us, s.vals) AS r (time_us, value)
        WHERE r.time_us = t.time_us
        """,
        series_id,
        sorted(set(times)),
    )
    return {time: RawReading(value, bool(late & _TOO_LATE), bool(late & _VOIDED)) for time, value, late in rows}


async def stored_readings(
    connection: Connection, keys: Sequence[tuple[int, int]]
) -> Mapping[tuple[int, int], StoredReading]:
    """See `PartitionStore.stored`."""
    ids, times = (list(column) for column in zip(*keys, strict=True))
    rows = await connection.fetch(
        f"""
        SELECT t.series_id, r.time_us, r.value, s.late, EXISTS (
            SELECT FROM amendments a WHERE a.series_id = t.series_id AND a.time_us = t.time_us AND a.outcome = 1
                AND a.author <> ''
        ) AS amended
        FROM unnest($1::bigint[], $2::bigint[]) AS t (series_id, time_us)
        JOIN segments s ON s.series_id = t.series_id AND s.first_us <= t.time_us
            AND s.first_us >= t.time_us - t.time_us % {QUARTER} AND s.first_us >= $3 AND s.first_us <= $4
        CROSS JOIN LATERAL unnest(s.times_us, s.vals) AS r (time_us, value)
        WHERE r.time_us = t.time_us
        """,
        ids,
        times,
        min(times) - QUARTER,
        max(times),
    )
    return {
        (series_id, time): StoredReading(RawReading(value, bool(late & _TOO_LATE), bool(late & _VOIDED)), amended)
        for series_id, time, value, late, amended in rows
    }


async def last_before(connection: Connection, series_id: int, time: int) -> tuple[int, float] | None:
    """See `PartitionStore.last_before`."""
    # The last segment need not hold the last reading: another one of its quarter of an hour may.
    row = await connection.fetchrow(
        f"""
        SELECT r.time_us, r.value FROM (
            SELECT first_us FROM segments WHERE series_id = $1 AND late = 0 AND first_us < $2
            ORDER BY first_us DESC LIMIT 1
        ) last
        JOIN segments s ON s.series_id = $1 AND s.late = 0 AND s.first_us <= last.first_us
            AND s.first_us >= last.first_us - last.first_us % {QUARTER}
        CROSS JOIN LATERAL unnest(s.times_us, s.vals) AS r (time_us, value)
        WHERE r.time_us < $2 ORDER BY r.time_us DESC LIMIT 1
        """,
        series_id,
        time,
    )
    return None if row is None else (row["time_us"], row["value"])


async def write_amended(connection: Connection, series_id: int, found: AmendedReadings) -> None:
    """Readings that are others from now on, and what has become of those who asked."""
    if readings := sorted(found.amended.readings.items()):
        times = [time for time, _ in readings]
        values = [reading.value for _, reading in readings]
        late = [reading.too_late * _TOO_LATE | reading.voided * _VOIDED for _, reading in readings]
        await connection.execute(_REWRITE, series_id, times, values, late, times[0], times[-1])
    await connection.execute(
        """
        UPDATE amendments a SET outcome = n.outcome, original = coalesce((
            SELECT b.original FROM amendments b
            WHERE b.series_id = a.series_id AND b.time_us = a.time_us AND b.outcome = 1 ORDER BY b.id LIMIT 1
        ), n.before)
        FROM unnest($1::bigint[], $2::smallint[], $3::double precision[]) AS n (id, outcome, before) WHERE a.id = n.id
        """,
        [one.id for one in found.amended.settled],
        [int(one.outcome) for one in found.amended.settled],
        [one.before for one in found.amended.settled],
    )


async def write_conflicts(connection: Connection, write: Write) -> None:
    """Values that do not count, and what asks that others do."""
    await connection.executemany(
        """
        INSERT INTO reading_conflicts AS c (series_id, time_us, value, counting, superseded) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (series_id, time_us) DO UPDATE SET value = excluded.value, counting = excluded.counting,
            superseded = excluded.superseded, times = c.times + 1, create_time = excluded.create_time
        """,
        [(int(write.ids[one.series]), one.time, one.value, one.counting, one.superseded) for one in write.conflicts],
    )
    by_series: dict[int, list[tuple[int, float]]] = {}
    for series, time, value in write.superseding:
        by_series.setdefault(int(write.ids[series]), []).append((time, value))
    for series_id, rows in by_series.items():
        times, values = (list(column) for column in zip(*rows, strict=True))
        await connection.execute(
            """
            WITH job AS (
                INSERT INTO recomputations (partition, series_id, end_us, include_too_late, amends)
                SELECT partition, id, 0, false, true FROM series WHERE id = $1 RETURNING id
            )
            INSERT INTO amendments (recomputation, series_id, time_us, value, author, reason)
            SELECT job.id, $1, t.time_us, t.value, '', $4
            FROM job, unnest($2::bigint[], $3::double precision[]) AS t (time_us, value)
            """,
            series_id,
            times,
            values,
            SUPERSEDED,
        )


async def shown(
    connection: Connection, infos: Sequence[SeriesInfo], start: int, end: int
) -> Mapping[tuple[int, int], Amendment]:
    """See `Snapshot.amendments`."""
    rows = await connection.fetch(_SHOWN, [info.id for info in infos], start, end)
    return {(row["place"] - 1, row["time_us"]): _amendment(row) for row in rows}


def _amendment(row: asyncpg.Record) -> Amendment:
    kind = AmendmentKind.VOIDED if row["value"] is None else AmendmentKind.REPLACED
    return Amendment(kind, row["original"], row["author"], row["reason"], row["created"])


class PostgresAmendmentQueue:
    """See `AmendmentQueue`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, command: AmendReading) -> int | None:
        """See `AmendmentQueue`."""
        async with self._database.transaction() as connection:
            job = await connection.fetchrow(
                f"""
                INSERT INTO recomputations (partition, series_id, end_us, include_too_late, amends)
                SELECT s.partition, s.id, $5::bigint + 1, false, true FROM series s WHERE {OF_SERIES}
                RETURNING id, partition, series_id
                """,
                *command.key,
                command.time,
            )
            if job is None:
                return None
            overrules = command.value is not None and await withdraw(connection, job["series_id"], command.time)
            id_ = await connection.fetchval(
                """
                INSERT INTO amendments (recomputation, series_id, time_us, value, author, reason, overrules)
                VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
                """,
                job["id"],
                job["series_id"],
                command.time,
                command.value,
                command.author,
                command.reason,
                overrules,
            )
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(job["partition"]))
        return id_

    async def limits(self, series: SeriesKey) -> ValueLimits | None:
        """See `AmendmentQueue`."""
        async with self._database.connection() as connection:
            return await read_limits(connection, OF_SERIES, *series)

    async def done(self, entry: int) -> AmendmentDone | None:
        """See `AmendmentQueue`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT a.outcome, a.series_id, a.time_us, r.changed FROM amendments a
                JOIN recomputations r ON r.id = a.recomputation
                WHERE a.id = $1 AND r.done_time IS NOT NULL
                """,
                entry,
            )
            if row is None:
                return None
            outcome = AmendmentOutcome(row["outcome"])
            found = await readings_at(connection, row["series_id"], [row["time_us"]])
            mark = await connection.fetchrow(_SHOWN, [row["series_id"]], row["time_us"], row["time_us"] + 1)
        value = found[row["time_us"]].value if found else 0.0
        return AmendmentDone(outcome, row["changed"], value, None if mark is None else _amendment(mark))

    async def ask_range(self, command: VoidRange, limit: int) -> int | None:
        """See `AmendmentQueue`."""
        async with self._database.transaction() as connection:
            job = await connection.fetchrow(
                f"""
                INSERT INTO recomputations (partition, series_id, end_us, include_too_late, amends)
                SELECT s.partition, s.id, $5::bigint, false, true FROM series s WHERE {OF_SERIES}
                RETURNING id, partition, series_id
                """,
                *command.series,
                command.end,
            )
            if job is None:
                return None
            asked = await connection.fetch(
                f"""
                INSERT INTO amendments (recomputation, series_id, time_us, author, reason)
                SELECT $1, $2, r.time_us, $5, $6
                FROM segments s CROSS JOIN LATERAL unnest(s.times_us) AS r (time_us)
                WHERE s.series_id = $2 AND s.first_us >= $3::bigint - {QUARTER} AND s.first_us < $4::bigint
                    AND r.time_us >= $3 AND r.time_us < $4
                ORDER BY r.time_us LIMIT $7 RETURNING 1
                """,
                job["id"],
                job["series_id"],
                command.start,
                command.end,
                command.author,
                command.reason,
                limit + 1,
            )
            if len(asked) > limit:
                raise TooManyReadings(limit)
            if not asked:
                await connection.execute("DELETE FROM recomputations WHERE id = $1", job["id"])
                return None
            await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(job["partition"]))
        return job["id"]

    async def range_done(self, entry: int) -> RangeVoided | None:
        """See `AmendmentQueue`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT count(*) AS readings, count(*) FILTER (WHERE a.outcome = 1) AS changed, r.changed AS windows
                FROM recomputations r JOIN amendments a ON a.recomputation = r.id
                WHERE r.id = $1 AND r.done_time IS NOT NULL GROUP BY r.changed
                """,
                entry,
            )
        return None if row is None else RangeVoided(*row)
