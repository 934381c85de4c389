"""`CorrectionLog` and `Recomputations` on PostgreSQL."""

from collections.abc import Sequence

from services.aggregation.adapters.postgres.emptied import CHANNEL
from services.aggregation.application.corrections import CorrectionsOf, StoredCorrection
from services.aggregation.application.ports import Totals
from services.aggregation.application.recompute_room import RecomputeRoom
from services.aggregation.domain.series import SeriesKey
from services.chassis.postgres import Database

_END_OF_TIME = 2**62
_OF_ROOM = "s.building = $1 AND s.room = $2 AND ($3 = '' OR s.sensor_type = $3) AND ($4 = '' OR s.device = $4)"


class PostgresCorrections:
    """See `CorrectionLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: CorrectionsOf, after: tuple[int, int] | None, limit: int
    ) -> tuple[Sequence[StoredCorrection], int]:
        """See `CorrectionLog`; both from one view of the data."""
        of_room = (wanted.building, wanted.room, wanted.sensor_type, wanted.device)
        start = 0 if wanted.start is None else wanted.start
        end = _END_OF_TIME if wanted.end is None else wanted.end
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            total = await connection.fetchval(
                f"""
                SELECT count(*) FROM series s JOIN corrections c ON c.series_id = s.id
                WHERE {_OF_ROOM} AND c.time_us >= $5 AND c.time_us < $6
                """,
                *of_room,
                start,
                end,
            )
            rows = await connection.fetch(
                f"""
                SELECT s.id, s.building, s.room, s.sensor_type, s.device, s.unit, c.time_us, c.value, c.level, c.kind
                FROM series s CROSS JOIN LATERAL (
                    SELECT * FROM corrections
                    WHERE series_id = s.id AND time_us >= $5 AND time_us < $6 AND (time_us, series_id) < ($7, $8)
                    ORDER BY time_us DESC LIMIT $9
                ) c
                WHERE {_OF_ROOM} ORDER BY c.time_us DESC, s.id DESC LIMIT $9
                """,
                *of_room,
                start,
                end,
                *(after or (_END_OF_TIME, 0)),
                limit,
            )
        found = [
            StoredCorrection(
                row["id"],
                SeriesKey(row["building"], row["room"], row["sensor_type"], row["device"]),
                row["unit"],
                row["time_us"],
                row["value"],
                row["level"],
                row["kind"],
            )
            for row in rows
        ]
        return found, total


class PostgresRecomputations:
    """See `Recomputations`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, command: RecomputeRoom) -> Sequence[int]:
        """See `Recomputations`."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"""
                INSERT INTO recomputations (partition, series_id, cursor_us, end_us, include_too_late)
                SELECT s.partition, s.id, $5, $6, $7 FROM series s WHERE {_OF_ROOM} RETURNING id, partition
                """,
                command.building,
                command.room,
                command.sensor_type,
                command.device,
                command.start,
                _END_OF_TIME if command.end is None else command.end,
                command.include_too_late,
            )
            for partition in sorted({row["partition"] for row in rows}):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(partition))
        return [row["id"] for row in rows]

    async def done(self, entries: Sequence[int]) -> Totals | None:
        """See `Recomputations`."""
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
