"""`CorrectionLog` on PostgreSQL."""

from collections.abc import Sequence

import asyncpg

from services.aggregation.application.queries.corrections import (
    CorrectionDecision,
    CorrectionFilter,
    StoredCorrection,
)
from services.aggregation.domain.counters.correction import Doubt
from services.aggregation.domain.series import SeriesKey
from services.chassis.postgres import Database

END_OF_TIME = 2**62


OF_ROOM = "s.building = $1 AND s.room = $2 AND ($3 = '' OR s.sensor_type = $3) AND ($4 = '' OR s.device = $4)"


# Corrections, and those that are none any more since somebody has decided so.
_LISTED = """
SELECT c.series_id, c.time_us, c.value, c.level, c.kind, coalesce(c.last_us, c.time_us) AS last_us, c.readings,
    c.booked, c.otherwise, d.kind AS decided, d.value AS decided_value, d.author,
    d.reason,
    (extract(epoch FROM d.create_time) * 1000000)::bigint AS decided_us, d.withdrawn
FROM corrections c LEFT JOIN correction_decisions d ON d.series_id = c.series_id AND d.time_us = c.time_us
WHERE {where}
UNION ALL
SELECT c.series_id, c.time_us, c.was_value, c.was_level, c.was_kind, c.time_us, 1, NULL, NULL, c.kind, c.value,
    c.author, c.reason,
    (extract(epoch FROM c.create_time) * 1000000)::bigint, c.withdrawn
FROM correction_decisions c
WHERE NOT EXISTS (SELECT FROM corrections o WHERE o.series_id = c.series_id AND o.time_us = c.time_us) AND {where}
"""
_OF_PAGE = "c.series_id = s.id AND c.time_us >= $5 AND c.time_us < $6 AND (c.time_us, c.series_id) < ($7, $8)"


def _decision(row: asyncpg.Record) -> CorrectionDecision | None:
    if row["decided"] is None:
        return None
    return CorrectionDecision(
        row["decided"], row["decided_value"], row["author"], row["reason"], row["decided_us"], row["withdrawn"]
    )


class PostgresCorrectionLog:
    """See `CorrectionLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, wanted: CorrectionFilter, after: tuple[int, int] | None, limit: int
    ) -> tuple[Sequence[StoredCorrection], int]:
        """See `CorrectionLog`; both from one view of the data."""
        of_room = (wanted.building, wanted.room, wanted.sensor_type, wanted.device)
        start = 0 if wanted.start is None else wanted.start
        end = END_OF_TIME if wanted.end is None else wanted.end
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            total = await connection.fetchval(
                f"""
                SELECT count(*) FROM series s JOIN ({_LISTED.format(where="true")}) c ON c.series_id = s.id
                WHERE {OF_ROOM} AND c.time_us >= $5 AND c.time_us < $6
                """,
                *of_room,
                start,
                end,
            )
            rows = await connection.fetch(
                f"""
                SELECT s.id, s.building, s.room, s.sensor_type, s.device, s.unit, c.*
                FROM series s CROSS JOIN LATERAL (
                    {_LISTED.format(where=_OF_PAGE)} ORDER BY time_us DESC LIMIT $9
                ) c
                WHERE {OF_ROOM} ORDER BY c.time_us DESC, s.id DESC LIMIT $9
                """,
                *of_room,
                start,
                end,
                *(after or (END_OF_TIME, 0)),
                limit,
            )
        found = [
            StoredCorrection(
                row["id"],
                SeriesKey(row["building"], row["room"], row["sensor_type"], row["device"]),
                row["unit"],
                row["time_us"],
                row["value"],
                row["level"],
                row["kind"],
                row["last_us"],
                row["readings"],
                None if row["booked"] is None else Doubt(row["booked"], row["otherwise"]),
                _decision(row),
            )
            for row in rows
        ]
        return found, total
