"""Where something is known of series, and which of their windows have closed how often: what lists ask."""

from collections.abc import Sequence
from typing import Final

from services.aggregation.adapters.postgres.binary_copy import QUARTER
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.times import DAY, NO_END
from services.chassis.postgres import Connection

# $1, $2: id and max_gap of each series; $3: the bound; $4, $5: between them is looked, so that PostgreSQL leaves out
# partitions unopened.
# The last segment before the bound need not hold the last reading before it, another one of its quarter of an hour may:
# that is looked up where it decides.
_AROUND: Final = f"""
SELECT i.max_gap, later.first_us AS later,
    CASE WHEN later.first_us - earlier.first_us <= i.max_gap THEN earlier.first_us
    ELSE coalesce((
        SELECT max(s.times_us[cardinality(s.times_us)]) FROM segments s
        WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $4 AND s.first_us < $3
            AND s.first_us >= earlier.first_us - earlier.first_us % {QUARTER}
    ), earlier.first_us) END AS earlier
FROM unnest($1::bigint[], $2::bigint[]) AS i (id, max_gap)
LEFT JOIN LATERAL (
    SELECT s.first_us FROM segments s
    WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $3 AND s.first_us <= $5
    ORDER BY s.first_us LIMIT 1
) later ON true
LEFT JOIN LATERAL (
    SELECT s.first_us FROM segments s
    WHERE s.series_id = i.id AND s.late = 0 AND s.first_us < $3 AND s.first_us >= $4
    ORDER BY s.first_us DESC LIMIT 1
) earlier ON true
"""
_BEFORE: Final = """
SELECT max(found.first_us) FROM unnest($1::bigint[]) AS i (id) CROSS JOIN LATERAL
(SELECT first_us FROM segments WHERE series_id = i.id AND late = 0 AND first_us < $2 AND first_us >= $3
 ORDER BY first_us DESC LIMIT 1) found
"""
_AFTERWARDS: Final = """
SELECT min(found.first_us) FROM unnest($1::bigint[]) AS i (id) CROSS JOIN LATERAL
(SELECT first_us FROM segments WHERE series_id = i.id AND late = 0 AND first_us > $2
 ORDER BY first_us LIMIT 1) found
"""
# The last segment need not hold the newest reading: another one of its quarter of an hour may.
_NEWEST: Final = f"""
SELECT i.place, newest.time FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, place)
CROSS JOIN LATERAL (
    SELECT s.first_us FROM segments s WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $2::bigint - {QUARTER}
    ORDER BY s.first_us DESC LIMIT 1
) last
CROSS JOIN LATERAL (
    SELECT max(s.times_us[cardinality(s.times_us)]) AS time FROM segments s
    WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $2::bigint - {QUARTER}
        AND s.first_us >= last.first_us - last.first_us % {QUARTER}
) newest
WHERE newest.time >= $2::bigint
"""
_REVISIONS: Final = """
SELECT i.place, w.start_us, w.revision FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, place)
JOIN windows w ON w.series_id = i.id AND w.step_us = $2 AND w.start_us >= $3 AND w.start_us < $4
"""


async def next_known(connection: Connection, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
    """See `Snapshot.next_known`."""
    ids, gaps = [info.id for info in infos], [info.max_gap for info in infos]
    if bound >= NO_END and not after:
        # The newest: readings have come up to where windows are complete, and mostly these are not gone.
        complete = max((info.frontiers[0] for info in infos if info.frontiers), default=0)
        if (newest := await connection.fetchval(_BEFORE, ids, bound, complete - DAY)) is not None:
            return newest
        return await connection.fetchval(_BEFORE, ids, bound, -NO_END)
    # Mostly there is something near: within the reach of known time, and some more.
    earliest, latest = bound - max(gaps, default=0) - DAY, bound + max(gaps, default=0) + DAY
    rows = await connection.fetch(_AROUND, ids, gaps, bound, earliest, latest)
    if any(row["later"] is not None and _close(row["earlier"], row["later"], row["max_gap"]) for row in rows):
        return bound if after else bound - 1
    places = [place for row in rows if (place := row["later" if after else "earlier"]) is not None]
    if places:
        return min(places) if after else max(places)
    if after:
        return await connection.fetchval(_AFTERWARDS, ids, latest)
    return await connection.fetchval(_BEFORE, ids, earliest, -NO_END)


async def newest_readings(connection: Connection, infos: Sequence[SeriesInfo], since: int) -> dict[int, int]:
    """See `Snapshot.newest`."""
    rows = await connection.fetch(_NEWEST, [info.id for info in infos], since)
    return {place - 1: time for place, time in rows}


def _close(earlier: int | None, later: int, max_gap: int) -> bool:
    return earlier is not None and later - earlier <= max_gap


async def stored_revisions(
    connection: Connection, infos: Sequence[SeriesInfo], step: int, start: int, end: int
) -> dict[tuple[int, int], int]:
    """See `Snapshot.revisions`."""
    rows = await connection.fetch(_REVISIONS, [info.id for info in infos], step, start, end)
    return {(place - 1, at): revision for place, at, revision in rows}
