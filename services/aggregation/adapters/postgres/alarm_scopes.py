"""How many series there are in the scopes of rules: one statement for all of them, in which each is looked up by the
columns that it names, so that the right index serves it."""

from collections.abc import Sequence

from services.aggregation.domain.alarms.scope import Scope
from services.chassis.postgres import Connection

_COLUMNS = ("building", "room", "device", "kind")


async def count_series(connection: Connection, scopes: Sequence[Scope], limit: int) -> list[int]:
    """See `AlarmRuleStore.count_series`."""
    shapes = [_shape(scope) for scope in scopes]
    counts = await connection.fetch(
        """
        WITH scopes AS (
            SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[])
                WITH ORDINALITY AS n (shape, sensor_type, building, room, device, kind, place)
        )
        """
        + " UNION ALL ".join(_count(shape) for shape in sorted(set(shapes))),
        shapes,
        [scope.sensor_type for scope in scopes],
        [scope.building for scope in scopes],
        [scope.room for scope in scopes],
        [scope.device for scope in scopes],
        [scope.kind for scope in scopes],
        limit,
    )
    found = {row["place"]: row["series"] for row in counts}
    return [found[place] for place in range(1, len(scopes) + 1)]


def _shape(scope: Scope) -> int:
    """Which columns it names, as bits."""
    return sum(1 << bit for bit, name in enumerate(_COLUMNS) if getattr(scope, name))


def _count(shape: int) -> str:
    named = [name for bit, name in enumerate(_COLUMNS) if shape >> bit & 1]
    where = " AND ".join(f"s.{name} = n.{name}" for name in ("sensor_type", *named))
    return f"""
        SELECT n.place, (SELECT count(*) FROM (SELECT 1 FROM series s WHERE {where} LIMIT $7) AS m) AS series
        FROM scopes n WHERE n.shape = {shape}
    """
