"""What the catalogue knows of the places that readings name."""

from collections.abc import Sequence

from services.chassis.postgres import Connection
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.series import SeriesKey


async def unknown_places(connection: Connection, keys: Sequence[SeriesKey]) -> NamedPlaces:
    """Those places of the series that are not in the catalogue."""
    named = NamedPlaces.of(keys)
    rows = await connection.fetch(
        """
        SELECT 1 AS kind, id, '' AS building FROM unnest($1::text[]) AS named (id)
            WHERE NOT EXISTS (SELECT FROM buildings WHERE buildings.id = named.id)
        UNION ALL SELECT 2, id, building FROM unnest($2::text[], $3::text[]) AS named (building, id)
            WHERE NOT EXISTS (SELECT FROM rooms WHERE rooms.building = named.building AND rooms.id = named.id)
        UNION ALL SELECT 3, id, '' FROM unnest($4::text[]) AS named (id)
            WHERE NOT EXISTS (SELECT FROM devices WHERE devices.id = named.id)
        """,
        list(named.buildings),
        [building for building, _ in named.rooms],
        [room for _, room in named.rooms],
        list(named.devices),
    )
    found = NamedPlaces()
    for kind, name, building in rows:
        match kind:
            case 1:
                found.buildings.add(name)
            case 2:
                found.rooms.add((building, name))
            case _:
                found.devices.add(name)
    return found


async def counted_places(connection: Connection, limit: int) -> PlaceCounts:
    """How many there are of each kind; it counts no further than `limit`."""
    row = await connection.fetchrow(
        """
        SELECT (SELECT count(*) FROM (SELECT FROM buildings LIMIT $1) AS found),
            (SELECT count(*) FROM (SELECT FROM rooms LIMIT $1) AS found),
            (SELECT count(*) FROM (SELECT FROM devices LIMIT $1) AS found)
        """,
        limit,
    )
    return PlaceCounts(*(row or ()))


def inserted(tag: str) -> int:
    """The rows of a command's tag, `INSERT 0 3`; none of an empty one."""
    return int(tag.rpartition(" ")[2] or 0)
