"""`ReadingConflictLog` on PostgreSQL."""

from collections.abc import Sequence

from services.aggregation.adapters.postgres.correction_log import END_OF_TIME, OF_ROOM
from services.aggregation.application.queries.corrections import CorrectionFilter
from services.aggregation.application.queries.reading_conflicts import ListedConflict
from services.aggregation.domain.series import SeriesKey
from services.chassis.postgres import Database


class PostgresReadingConflictLog:
    """See `ReadingConflictLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: CorrectionFilter, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ListedConflict]:
        """See `ReadingConflictLog`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT s.id, s.building, s.room, s.sensor_type, s.device, s.unit, c.time_us, c.value, c.counting,
                    c.superseded, c.times, (extract(epoch FROM c.create_time) * 1000000)::bigint AS created
                FROM series s CROSS JOIN LATERAL (
                    SELECT * FROM reading_conflicts
                    WHERE series_id = s.id AND time_us >= $5 AND time_us < $6 AND (time_us, series_id) < ($7, $8)
                    ORDER BY time_us DESC LIMIT $9
                ) c
                WHERE {OF_ROOM} ORDER BY c.time_us DESC, s.id DESC LIMIT $9
                """,
                wanted.building,
                wanted.room,
                wanted.sensor_type,
                wanted.device,
                0 if wanted.start is None else wanted.start,
                END_OF_TIME if wanted.end is None else wanted.end,
                *(after or (END_OF_TIME, 0)),
                limit,
            )
        return [
            ListedConflict(
                row["id"],
                SeriesKey(row["building"], row["room"], row["sensor_type"], row["device"]),
                row["unit"],
                row["time_us"],
                row["value"],
                row["counting"],
                row["superseded"],
                row["times"],
                row["created"],
            )
            for row in rows
        ]
