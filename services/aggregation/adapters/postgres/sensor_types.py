"""What the catalogue has told of sensor types, in rows; also the port `SensorTypes`."""

from collections.abc import Mapping, Sequence

from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.chassis.postgres import Connection, Database


async def write_sensor_types(connection: Connection, told: Sequence[SensorTypeInfo]) -> None:
    """Those that are newer than what is known. Every partition hears of all."""
    newest = {one.id: one for one in sorted(told, key=lambda one: one.told)}
    await connection.execute(
        """
        INSERT INTO sensor_types AS s (id, unit, minimum, maximum, told_us)
        SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::bigint[])
        ON CONFLICT (id) DO UPDATE SET
            unit = excluded.unit, minimum = excluded.minimum, maximum = excluded.maximum, told_us = excluded.told_us
        WHERE s.told_us < excluded.told_us
        """,
        *(list(column) for column in zip(*(newest[id_] for id_ in sorted(newest)), strict=True)),
    )


class PostgresSensorTypes:
    """The port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sensor_types(self) -> Mapping[str, SensorTypeInfo]:
        """See `SensorTypes`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch("SELECT id, unit, minimum, maximum, told_us FROM sensor_types")
        return {row["id"]: SensorTypeInfo(*row) for row in rows}
