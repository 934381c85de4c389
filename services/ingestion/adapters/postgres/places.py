"""Buildings, rooms and devices in PostgreSQL."""

import json
from collections.abc import Callable, Sequence
from typing import cast

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database
from services.chassis.postgres.lookups import lookup
from services.ingestion.adapters.postgres.counter_rule_columns import RULES, rules_in
from services.ingestion.adapters.postgres.place_creation import create_buildings, create_devices, create_rooms
from services.ingestion.adapters.postgres.place_rows import (
    BUILDING,
    CHANGED_MEANWHILE,
    DEVICE,
    ROOM,
    building_in,
    device_errors,
    device_in,
    device_values,
    room_in,
)
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.domain.catalogue import Building, Device, Room
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.errors import ResourceExists, ResourceInUse, ResourceNotFound
from services.ingestion.domain.series import SeriesKey


class Places:
    """The part of the catalogue that says where something is measured."""

    def __init__(self, database: Database, rule_changes: RuleChangeEvents) -> None:
        self._database = database
        self._rule_changes = rule_changes
        self._building = lookup(
            database, "building", f"SELECT {BUILDING} FROM buildings WHERE id = ANY($1::text[])", "id"
        )
        self._room = lookup(
            database,
            "room",
            f"SELECT {ROOM} FROM rooms WHERE (building, id) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
            "building",
            "id",
        )
        self._device = lookup(database, "device", f"SELECT {DEVICE} FROM devices WHERE id = ANY($1::text[])", "id")
        self._new_buildings = database.group_commit("buildings", create_buildings, one_statement=True)
        self._new_rooms = database.group_commit(
            "rooms", create_rooms, constraints=CHANGED_MEANWHILE, one_statement=True
        )
        self._new_devices = database.group_commit(
            "devices", create_devices, constraints=CHANGED_MEANWHILE, one_statement=True
        )

    async def create_building(self, entry: Building) -> Building:
        """Raises ResourceExists."""
        return await self._new_buildings.submit(entry)

    async def get_building(self, name: str) -> Building:
        """Raises ResourceNotFound."""
        return building_in(await self._building.submit((name,)), name)

    async def list_buildings(self, after: str | None, limit: int) -> list[Building]:
        """By id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f'SELECT {BUILDING} FROM buildings WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2',
                after or "",
                limit,
            )
        return [building_in(row) for row in rows]

    async def update_building(self, name: str, change: Callable[[Building], Building]) -> Building:
        """Raises ResourceNotFound."""
        async with self._database.transaction() as connection:
            entry = change(await _read_building(connection, name, "FOR UPDATE"))
            await connection.execute(
                "UPDATE buildings SET attributes = $2 WHERE id = $1", name, json.dumps(dict(entry.attributes))
            )
        return entry

    async def delete_building(self, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        in_use = {"rooms_building": lambda: ResourceInUse("building", name, "rooms")}
        async with self._database.connection(in_use) as connection:
            if not await connection.fetchval("DELETE FROM buildings WHERE id = $1 RETURNING true", name):
                raise ResourceNotFound("building", name)

    async def create_room(self, entry: Room) -> Room:
        """Raises ResourceExists, or ResourceNotFound for its building."""
        return await self._new_rooms.submit(entry)

    async def get_room(self, building: str, name: str) -> Room:
        """Raises ResourceNotFound."""
        return room_in(await self._room.submit((building, name)), name)

    async def list_rooms(self, building: str, after: str | None, limit: int) -> list[Room]:
        """By id. Raises ResourceNotFound for an unknown building."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {ROOM} FROM rooms WHERE building = $1 AND id COLLATE "C" > $2
                ORDER BY id COLLATE "C" LIMIT $3
                """,
                building,
                after or "",
                limit,
            )
            if not rows:
                await _read_building(connection, building)
        return [room_in(row) for row in rows]

    async def update_room(self, building: str, name: str, change: Callable[[Room], Room]) -> Room:
        """Raises ResourceNotFound."""
        async with self._database.transaction() as connection:
            entry = change(await _read_room(connection, building, name, "FOR UPDATE"))
            await connection.execute(
                "UPDATE rooms SET attributes = $3 WHERE building = $1 AND id = $2",
                building,
                name,
                json.dumps(dict(entry.attributes)),
            )
        return entry

    async def delete_room(self, building: str, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        in_use = {"devices_room": lambda: ResourceInUse("room", name, "devices")}
        async with self._database.connection(in_use) as connection:
            if not await connection.fetchval(
                "DELETE FROM rooms WHERE building = $1 AND id = $2 RETURNING true", building, name
            ):
                raise ResourceNotFound("room", name)

    async def create_device(self, entry: Device) -> Device:
        """Raises ResourceExists, ResourceNotFound or SensorTypeUnknown."""
        if entry.counter_rules is None:  # and so nothing to tell others
            return await self._new_devices.submit(entry)
        broken = device_errors(entry) | {"devices_pkey": lambda: ResourceExists("device", entry.id)}
        async with self._database.transaction(broken) as connection:
            row = await connection.fetchrow(
                f"""
                INSERT INTO devices (id, format, building, room, sensor_type, {RULES})
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {DEVICE}
                """,
                *device_values(entry),
            )
            event_ids = await self._rule_changes.of_device(connection, entry.id, None, entry)
        await self._rule_changes.relayed(event_ids)
        return device_in(row, entry.id)

    async def get_device(self, name: str) -> Device:
        """Raises ResourceNotFound."""
        return device_in(await self._device.submit((name,)), name)

    async def list_devices(self, after: str | None, limit: int) -> list[Device]:
        """By id."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f'SELECT {DEVICE} FROM devices WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2',
                after or "",
                limit,
            )
        return [device_in(row) for row in rows]

    async def update_device(self, name: str, change: Callable[[Device], Device]) -> Device:
        """Raises ResourceNotFound or SensorTypeUnknown."""
        broken: dict[str, Callable[[], DomainError]] = {}
        async with self._database.transaction(broken) as connection:
            before = await _read_device(connection, name, "FOR NO KEY UPDATE")
            entry = change(before)
            broken.update(device_errors(entry))
            row = await connection.fetchrow(
                f"""
                UPDATE devices SET format = $2, building = $3, room = $4, sensor_type = $5, counter_policy = $6,
                    register_size = $7, max_increase_per_hour = $8, rounding_ratio = $9, rounding_amount = $10
                WHERE id = $1 RETURNING {DEVICE}
                """,
                *device_values(entry),
            )
            event_ids = await self._rule_changes.of_device(connection, name, before, entry)
        await self._rule_changes.relayed(event_ids)
        return device_in(row, name)

    async def delete_device(self, name: str) -> None:
        """Raises ResourceNotFound."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(f"DELETE FROM devices WHERE id = $1 RETURNING {DEVICE}", name)
            event_ids = await self._rule_changes.of_device(connection, name, device_in(row, name), None)
        await self._rule_changes.relayed(event_ids)

    async def device_rules(self) -> dict[tuple[str, str], CounterRules]:
        """(device, its sensor type) -> counter rules, of the devices that have any."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT id, sensor_type, {RULES} FROM devices WHERE counter_policy IS NOT NULL"
            )
        return {(row["id"], row["sensor_type"]): rules for row in rows if (rules := rules_in(row)) is not None}

    async def missing(self, keys: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[str, str]]:
        """The series that refer to something unknown."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT place,
                    EXISTS (SELECT FROM buildings WHERE buildings.id = building) AS has_building,
                    EXISTS (SELECT FROM rooms WHERE rooms.building = wanted.building AND rooms.id = room) AS has_room,
                    device = '' OR EXISTS (SELECT FROM devices WHERE devices.id = device) AS has_device
                FROM unnest($1::text[], $2::text[], $3::text[])
                    WITH ORDINALITY AS wanted (building, room, device, place)
                """,
                [key.building for key in keys],
                [key.room for key in keys],
                [key.device for key in keys],
            )
        found: dict[SeriesKey, tuple[str, str]] = {}
        for row in rows:
            key = keys[row["place"] - 1]
            for kind in ("device", "room", "building"):
                if not row[f"has_{kind}"]:
                    found[key] = (kind, cast(str, getattr(key, kind)))
        return found


async def _read_building(connection: Connection, name: str, lock: str = "") -> Building:
    return building_in(await connection.fetchrow(f"SELECT {BUILDING} FROM buildings WHERE id = $1 {lock}", name), name)


async def _read_room(connection: Connection, building: str, name: str, lock: str = "") -> Room:
    query = f"SELECT {ROOM} FROM rooms WHERE building = $1 AND id = $2 {lock}"
    return room_in(await connection.fetchrow(query, building, name), name)


async def _read_device(connection: Connection, name: str, lock: str = "") -> Device:
    return device_in(await connection.fetchrow(f"SELECT {DEVICE} FROM devices WHERE id = $1 {lock}", name), name)
