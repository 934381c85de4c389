"""What the values of a series may be, as the catalogue has told it."""

from services.aggregation.domain.series import Kind
from services.chassis.postgres import Connection
from services.chassis.value_limits import ValueLimits


async def read_limits(connection: Connection, where: str, *arguments: object) -> ValueLimits | None:
    """Of the series `s` that the condition chooses; None: there is none."""
    row = await connection.fetchrow(
        f"""
        SELECT s.unit, s.kind, s.register_size, t.minimum, t.maximum
        FROM series s LEFT JOIN sensor_types t ON t.id = s.sensor_type AND t.unit = s.unit WHERE {where}
        """,
        *arguments,
    )
    if row is None:
        return None
    register = row["register_size"] if row["kind"] == Kind.COUNTER else 0.0
    return ValueLimits.of(row["unit"], row["minimum"], row["maximum"], register or None)
