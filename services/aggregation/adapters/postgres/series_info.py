"""What a reader knows of a series, out of `series` and `series_state`."""

from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from services.aggregation.adapters.postgres.stored_columns import counter_rules
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import SeriesInfo

SERIES: Final = """
SELECT s.id, s.building, s.room, s.sensor_type, s.device, s.kind, s.unit,
    coalesce(st.interval_us, s.interval_us) AS interval_us, coalesce(st.max_gap_us, 0) AS max_gap_us,
    coalesce(st.frontiers, '{}') AS frontiers, s.counter_policy, s.register_size, s.max_increase_per_hour, s.cautious,
    s.rounding_ratio, s.rounding_amount, s.decided
FROM series s LEFT JOIN series_state st ON st.series_id = s.id
"""
SERIES_OF_ROOMS: Final = f"""
{SERIES} JOIN unnest($1::text[], $2::text[], $3::text[]) AS r (building, room, sensor_type)
    ON s.building = r.building AND s.room = r.room AND s.sensor_type = r.sensor_type
"""


def series_info(row: asyncpg.Record | Mapping[str, Any], rules: Rules) -> SeriesInfo:
    """Of a row of `SERIES`."""
    return SeriesInfo(
        id=row["id"],
        building=row["building"],
        room=row["room"],
        sensor_type=row["sensor_type"],
        device=row["device"],
        kind=row["kind"],
        unit=row["unit"],
        interval=row["interval_us"],
        max_gap=row["max_gap_us"] or rules.max_gap(row["interval_us"]),
        frontiers=row["frontiers"],
        counting=counter_rules(row),
        decided=row["decided"],
    )
