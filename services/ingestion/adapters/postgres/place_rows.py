"""Buildings, rooms and devices in rows, and what keeps one from being written."""

import json
from collections.abc import Callable, Mapping
from typing import cast

import asyncpg

from services.chassis.errors import Aborted, DomainError
from services.chassis.postgres import ConstraintErrors
from services.ingestion.adapters.postgres.counter_rule_columns import RULES, rules_in, values_of
from services.ingestion.domain.catalogue import Building, Device, Room
from services.ingestion.domain.errors import ResourceNotFound, SensorTypeUnknown

CHANGED_MEANWHILE: ConstraintErrors = {
    name: lambda: Aborted("the catalogue was changed at the same time; send it again")
    for name in ("rooms_building", "devices_room", "devices_sensor_type")
}
BUILDING = "id, attributes::text, create_time"
ROOM = "building, id, attributes::text, create_time"
DEVICE = f"id, format, building, room, sensor_type, create_time, {RULES}"


def device_errors(entry: Device) -> dict[str, Callable[[], DomainError]]:
    """What a broken constraint means to whoever writes the device."""
    return {
        "devices_room": lambda: no_room(entry),
        "devices_sensor_type": lambda: no_type(entry),
    }


def no_room(entry: Device) -> DomainError:
    """Its room is not in the catalogue."""
    return ResourceNotFound("room", entry.room, "device.room")


def no_type(entry: Device) -> DomainError:
    """Its sensor type is not in the catalogue."""
    return SensorTypeUnknown(entry.sensor_type, "device.sensorType")


def device_values(entry: Device) -> tuple[object, ...]:
    """In the order of the columns that are written."""
    return entry.id, entry.format, entry.building, entry.room, entry.sensor_type, *values_of(entry.counter_rules)


def _attributes(row: asyncpg.Record) -> Mapping[str, str]:
    return cast(dict[str, str], json.loads(row["attributes"]))


def building_in(row: asyncpg.Record | None, name: str = "") -> Building:
    """The building of a row. Raises ResourceNotFound for none."""
    if row is None:
        raise ResourceNotFound("building", name)
    return Building(row["id"], _attributes(row), row["create_time"])


def room_in(row: asyncpg.Record | None, name: str = "") -> Room:
    """The room of a row. Raises ResourceNotFound for none."""
    if row is None:
        raise ResourceNotFound("room", name)
    return Room(row["building"], row["id"], _attributes(row), row["create_time"])


def device_in(row: asyncpg.Record | None, name: str = "") -> Device:
    """The device of a row. Raises ResourceNotFound for none."""
    if row is None:
        raise ResourceNotFound("device", name)
    return Device(
        row["id"], row["format"], row["building"], row["room"], row["sensor_type"], row["create_time"], rules_in(row)
    )
