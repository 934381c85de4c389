"""What counts of readings that are named by their series and event times."""

from collections.abc import Mapping, Sequence

from services.aggregation.adapters.postgres.amendments import stored_readings
from services.aggregation.domain.late.conflicts import StoredReading
from services.aggregation.domain.series import SeriesKey
from services.chassis.postgres import Database


class PostgresCountingValues:
    """Reads what owners have committed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, readings: Sequence[tuple[SeriesKey, int]]) -> Mapping[tuple[SeriesKey, int], StoredReading]:
        """Those of the readings that are stored."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT s.id, s.building, s.room, s.sensor_type, s.device
                FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS n (building, room, sensor_type, device)
                JOIN series s ON s.building = n.building AND s.sensor_type = n.sensor_type
                    AND s.room COLLATE "C" = n.room AND s.device COLLATE "C" = n.device
                """,
                *map(list, zip(*{key for key, _ in readings}, strict=True)),
            )
            ids = {SeriesKey(*row[1:]): row[0] for row in map(tuple, rows)}
            asked = {(ids[key], time): (key, time) for key, time in readings if key in ids}
            found = await stored_readings(connection, list(asked)) if asked else {}
        return {asked[place]: reading for place, reading in found.items()}
