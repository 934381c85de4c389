"""The catalogue in PostgreSQL (the port `Catalogue`): sensor types here, places and devices in `places`."""

from collections.abc import Callable, Sequence

from services.chassis.postgres import Database
from services.chassis.postgres.lookups import lookup
from services.ingestion.adapters.postgres.place_lookup import counted_places, inserted, unknown_places
from services.ingestion.adapters.postgres.place_rows import CHANGED_MEANWHILE
from services.ingestion.adapters.postgres.places import Places
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.adapters.postgres.sensor_types import (
    COLUMNS,
    TOLD,
    VALUES,
    next_revision,
    sensor_type_in,
    sensor_type_values,
)
from services.ingestion.domain.catalogue import UNASSIGNED, Device, SensorType
from services.ingestion.domain.errors import ResourceExists, ResourceInUse, ResourceNotFound
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.rule_changes import concerns_limits, concerns_readings
from services.ingestion.domain.series import SeriesKey


class PostgresCatalogue(Places):
    """The stored catalogue."""

    def __init__(self, database: Database, rule_changes: RuleChangeEvents) -> None:
        super().__init__(database, rule_changes)
        self._sensor_type = lookup(
            database, "sensor type", f"SELECT {COLUMNS} FROM sensor_types WHERE id = ANY($1::text[])", "id"
        )

    async def create_sensor_type(self, entry: SensorType) -> SensorType:
        """Raises ResourceExists."""
        taken = {"sensor_types_pkey": lambda: ResourceExists("sensorType", entry.id)}
        async with self._database.transaction(taken) as connection:
            await connection.execute(
                f"INSERT INTO sensor_types ({VALUES}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                *sensor_type_values(entry),
            )
            event_ids = await self._rule_changes.of_values(connection, [entry])
        await self._rule_changes.relayed(event_ids)
        return entry

    async def get_sensor_type(self, name: str) -> SensorType:
        """Raises ResourceNotFound."""
        row = await self._sensor_type.submit((name,))
        if row is None:
            raise ResourceNotFound("sensorType", name)
        return sensor_type_in(row)

    async def list_sensor_types(self, after: str | None, limit: int) -> list[SensorType]:
        """By id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f'SELECT {COLUMNS} FROM sensor_types WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2',
                after or "",
                limit,
            )
        return [sensor_type_in(row) for row in rows]

    async def all_sensor_types(self) -> list[SensorType]:
        """All of them: some dozens."""
        async with self._database.connection() as connection:
            return [sensor_type_in(row) for row in await connection.fetch(f"SELECT {COLUMNS} FROM sensor_types")]

    async def tell_sensor_types(self) -> None:
        """Tells the others what sensor types say of their values, of those that they have not been told of: types that
        were there before they were told."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(
                f"SELECT {COLUMNS} FROM sensor_types WHERE told IS DISTINCT FROM {TOLD} ORDER BY id FOR UPDATE"
            )
            if rows:
                await self._rule_changes.of_values(connection, [sensor_type_in(row) for row in rows])

    async def update_sensor_type(self, name: str, change: Callable[[SensorType], SensorType]) -> SensorType:
        """Raises ResourceNotFound; ResourceInUse for kind or unit of a type that has readings."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"SELECT {COLUMNS}, has_readings FROM sensor_types WHERE id = $1 FOR UPDATE", name
            )
            if row is None:
                raise ResourceNotFound("sensorType", name)
            current = sensor_type_in(row)
            entry = change(current)
            if row["has_readings"] and (entry.kind, entry.unit) != (current.kind, current.unit):
                raise ResourceInUse("sensorType", name, "readings")
            await connection.execute(
                """
                UPDATE sensor_types SET kind = $2, unit = $3, min_value = $4, max_value = $5, expected_interval = $6,
                    counter_policy = $7, register_size = $8, max_increase_per_hour = $9, rounding_ratio = $10,
                    rounding_amount = $11, last_wins = $12
                WHERE id = $1
                """,
                *sensor_type_values(entry),
            )
            event_ids: list[int] = []
            if concerns_readings(current, entry) and (newest := await next_revision(connection, name)) is not None:
                event_ids = await self._rule_changes.of_type(connection, newest)
            if concerns_limits(current, entry):
                event_ids += await self._rule_changes.of_values(connection, [entry])
        await self._rule_changes.relayed(event_ids)
        return entry

    async def delete_sensor_type(self, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        in_use = {"devices_sensor_type": lambda: ResourceInUse("sensorType", name, "devices")}
        async with self._database.transaction(in_use) as connection:
            # Deleted first, whatever has readings: the foreign key tells of devices, which can be deleted, before that.
            deleted = await connection.fetchrow("DELETE FROM sensor_types WHERE id = $1 RETURNING has_readings", name)
            if deleted is None:
                raise ResourceNotFound("sensorType", name)
            if deleted["has_readings"]:
                raise ResourceInUse("sensorType", name, "readings")

    async def register(self, keys: Sequence[SeriesKey]) -> PlaceCounts:
        """One round trip for each kind, in the order of their ids (two at once must not block each other for good).
        Returns how many were created."""
        buildings = sorted({key.building for key in keys})
        rooms = sorted({(key.building, key.room) for key in keys})
        devices = {key.device: key for key in sorted(keys, reverse=True) if key.device}
        named = [devices[name] for name in sorted(devices)]
        async with self._database.transaction(CHANGED_MEANWHILE) as connection:
            new_buildings = await connection.execute(
                "INSERT INTO buildings (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", buildings
            )
            new_rooms = await connection.execute(
                "INSERT INTO rooms (building, id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
                *map(list, zip(*rooms, strict=True)),
            )
            new_devices = ""
            if named:
                new_devices = await connection.execute(
                    """
                    INSERT INTO devices (id, building, room, sensor_type)
                    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING
                    """,
                    [key.device for key in named],
                    [key.building for key in named],
                    [key.room for key in named],
                    [key.sensor_type for key in named],
                )
            await connection.execute(
                "UPDATE sensor_types SET has_readings = true WHERE id = ANY($1::text[]) AND NOT has_readings",
                sorted({key.sensor_type for key in keys}),
            )
        return PlaceCounts(*map(inserted, (new_buildings, new_rooms, new_devices)))

    async def unknown(self, keys: Sequence[SeriesKey]) -> NamedPlaces:
        """Those places of the series that are not in the catalogue."""
        async with self._database.connection() as connection:
            return await unknown_places(connection, keys)

    async def count_places(self, limit: int) -> PlaceCounts:
        """How many there are of each kind; it counts no further than `limit`."""
        async with self._database.connection() as connection:
            return await counted_places(connection, limit)

    async def register_device(self, device: Device) -> Device:
        """The stored device, made where it was missing."""
        async with self._database.transaction(CHANGED_MEANWHILE) as connection:
            await connection.execute("INSERT INTO buildings (id) VALUES ($1) ON CONFLICT DO NOTHING", UNASSIGNED)
            await connection.execute(
                "INSERT INTO rooms (building, id) VALUES ($1, $1) ON CONFLICT DO NOTHING", UNASSIGNED
            )
            await connection.execute(
                """
                INSERT INTO devices (id, format, building, room, sensor_type) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT DO NOTHING
                """,
                device.id,
                device.format,
                device.building,
                device.room,
                device.sensor_type,
            )
        return await self.get_device(device.id)
