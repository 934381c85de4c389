"""Where something is known of series, and which of their windows have closed how often: what lists ask."""

from collections.abc import Sequence
from typing import Final

from services.aggregation.adapters.postgres.copying import QUARTER
from services.aggregation.domain.cover import SeriesInfo
from services.chassis.postgres import Connection

# $1, $2: id and max_gap of each series; $3: the bound; $4, $5: the earliest and the latest reading that can make time
# at the bound known, by which PostgreSQL leaves out partitions unopened. In the direction of the search it looks on.
# The last segment before the bound need not hold the last reading before it, another one of its quarter of an hour may:
# that is looked up where it decides.
_AROUND: Final = """
SELECT i.max_gap, later.first_us AS later,
    CASE WHEN later.first_us - earlier.first_us <= i.max_gap THEN earlier.first_us
    ELSE coalesce((
        SELECT max(s.times_us[cardinality(s.times_us)]) FROM segments s
        WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $4 AND s.first_us < $3
            AND s.first_us >= earlier.first_us - earlier.first_us % {quarter}
    ), earlier.first_us) END AS earlier
FROM unnest($1::bigint[], $2::bigint[]) AS i (id, max_gap)
LEFT JOIN LATERAL (
    SELECT s.first_us FROM segments s WHERE s.series_id = i.id AND s.late = 0 AND s.first_us >= $3 {later}
    ORDER BY s.first_us LIMIT 1
) later ON true
LEFT JOIN LATERAL (
    SELECT s.first_us FROM segments s WHERE s.series_id = i.id AND s.late = 0 AND s.first_us < $3 {earlier}
    ORDER BY s.first_us DESC LIMIT 1
) earlier ON true
WHERE $4::bigint <= $5::bigint
"""
_FORWARD: Final = _AROUND.format(quarter=QUARTER, later="", earlier="AND s.first_us >= $4")
_BACKWARD: Final = _AROUND.format(quarter=QUARTER, later="AND s.first_us <= $5", earlier="")
_REVISIONS: Final = """
SELECT i.place, w.start_us, w.revision FROM unnest($1::bigint[]) WITH ORDINALITY AS i (id, place)
JOIN windows w ON w.series_id = i.id AND w.step_us = $2 AND w.start_us >= $3 AND w.start_us < $4
"""


async def next_known(connection: Connection, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
    """See `Snapshot.next_known`."""
    gaps = [info.max_gap for info in infos]
    reach = max(gaps, default=0) + QUARTER
    rows = await connection.fetch(
        _FORWARD if after else _BACKWARD, [info.id for info in infos], gaps, bound, bound - reach, bound + reach
    )
    if any(row["later"] is not None and _close(row["earlier"], row["later"], row["max_gap"]) for row in rows):
        return bound if after else bound - 1
    places = [row["later" if after else "earlier"] for row in rows]
    return (min if after else max)((place for place in places if place is not None), default=None)


def _close(earlier: int | None, later: int, max_gap: int) -> bool:
    return earlier is not None and later - earlier <= max_gap


async def stored_revisions(
    connection: Connection, infos: Sequence[SeriesInfo], step: int, start: int, end: int
) -> dict[tuple[int, int], int]:
    """See `Snapshot.revisions`."""
    rows = await connection.fetch(_REVISIONS, [info.id for info in infos], step, start, end)
    return {(place - 1, at): revision for place, at, revision in rows}
