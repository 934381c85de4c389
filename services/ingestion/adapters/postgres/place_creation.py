"""Creates buildings, rooms and devices, many in one statement; see `GroupCommit` for what is returned."""

import json
from collections.abc import Sequence
from dataclasses import replace

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection
from services.ingestion.adapters.postgres.place_rows import no_room, no_type
from services.ingestion.domain.catalogue import Building, Device, Room
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound


async def create_buildings(connection: Connection, entries: Sequence[Building]) -> list[Building | DomainError]:
    """The buildings, or ResourceExists."""
    made = await connection.fetch(
        """
        INSERT INTO buildings (id, attributes)
        SELECT id, attributes::jsonb FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS new (id, attributes, place)
        ORDER BY id, place ON CONFLICT DO NOTHING RETURNING id, create_time
        """,
        [entry.id for entry in entries],
        [json.dumps(dict(entry.attributes)) for entry in entries],
    )
    times = {row["id"]: row["create_time"] for row in made}
    # Each is its first caller's; who comes after finds that there is one.
    return [
        replace(entry, create_time=time)
        if (time := times.pop(entry.id, None))
        else ResourceExists("building", entry.id)
        for entry in entries
    ]


async def create_rooms(connection: Connection, entries: Sequence[Room]) -> list[Room | DomainError]:
    """The rooms; ResourceExists, or ResourceNotFound for their buildings."""
    rows = await connection.fetch(
        """
        WITH new AS (
            SELECT building, id, attributes, place,
                EXISTS (SELECT FROM buildings WHERE buildings.id = new.building) AS has_building
            FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS new (building, id, attributes, place)
        ), made AS (
            INSERT INTO rooms (building, id, attributes) SELECT building, id, attributes::jsonb FROM new
            WHERE has_building ORDER BY building, id, place ON CONFLICT DO NOTHING RETURNING building, id, create_time
        )
        SELECT create_time, has_building FROM new LEFT JOIN made USING (building, id) ORDER BY place
        """,
        [entry.building for entry in entries],
        [entry.id for entry in entries],
        [json.dumps(dict(entry.attributes)) for entry in entries],
    )
    outcomes: list[Room | DomainError] = []
    taken: set[tuple[str, str]] = set()
    for entry, row in zip(entries, rows, strict=True):
        if not row["has_building"]:
            outcomes.append(ResourceNotFound("building", entry.building, "room.building"))
        elif row["create_time"] is None or (entry.building, entry.id) in taken:
            outcomes.append(ResourceExists("room", entry.id))
        else:
            taken.add((entry.building, entry.id))
            outcomes.append(replace(entry, create_time=row["create_time"]))
    return outcomes


async def create_devices(connection: Connection, entries: Sequence[Device]) -> list[Device | DomainError]:
    """The devices, which have no rules of their own; ResourceExists, ResourceNotFound or SensorTypeUnknown."""
    rows = await connection.fetch(
        """
        WITH new AS (
            SELECT id, format, building, room, sensor_type, place,
                EXISTS (SELECT FROM rooms WHERE rooms.building = new.building AND rooms.id = new.room) AS has_room,
                EXISTS (SELECT FROM sensor_types WHERE sensor_types.id = new.sensor_type) AS has_type
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
                AS new (id, format, building, room, sensor_type, place)
        ), made AS (
            INSERT INTO devices (id, format, building, room, sensor_type)
            SELECT id, format, building, room, sensor_type FROM new
            WHERE has_room AND has_type ORDER BY id, place ON CONFLICT DO NOTHING RETURNING id, create_time
        )
        SELECT create_time, has_room, has_type, EXISTS (SELECT FROM devices WHERE devices.id = new.id) AS existed
        FROM new LEFT JOIN made USING (id) ORDER BY place
        """,
        [entry.id for entry in entries],
        [entry.format for entry in entries],
        [entry.building for entry in entries],
        [entry.room for entry in entries],
        [entry.sensor_type for entry in entries],
    )
    outcomes: list[Device | DomainError] = []
    taken: set[str] = set()
    for entry, row in zip(entries, rows, strict=True):
        if row["existed"] or entry.id in taken:
            outcomes.append(ResourceExists("device", entry.id))
        elif not row["has_room"]:
            outcomes.append(no_room(entry))
        elif not row["has_type"]:
            outcomes.append(no_type(entry))
        elif row["create_time"] is None:  # made by somebody else just now
            outcomes.append(ResourceExists("device", entry.id))
        else:
            taken.add(entry.id)
            outcomes.append(replace(entry, create_time=row["create_time"]))
    return outcomes
