"""Announcements of windows that late readings have changed, from what is stored now."""

from collections.abc import Sequence

from services.aggregation.adapters.postgres.history import read_pieces
from services.aggregation.application.ports import Announcement, WindowKey
from services.aggregation.domain.cover import SeriesInfo
from services.aggregation.domain.history import spans
from services.aggregation.domain.rules import Rules
from services.chassis.postgres import Connection


async def revised_announcements(connection: Connection, rules: Rules, keys: Sequence[WindowKey]) -> list[Announcement]:
    """Reads inside the transaction that has just written the windows."""
    if not keys:
        return []
    rows = await connection.fetch(
        "SELECT series_id, interval_us, max_gap_us, frontiers FROM series_state WHERE series_id = ANY($1::bigint[])",
        list({key.series_id for key in keys}),
    )
    states = {row["series_id"]: row for row in rows}
    found: list[Announcement] = []
    for key in keys:
        state, descriptor = states[key.series_id], key.descriptor
        info = SeriesInfo(
            key.series_id,
            *descriptor.key,
            int(descriptor.kind),
            descriptor.unit,
            state["interval_us"],
            state["max_gap_us"],
            state["frontiers"],
        )
        level = rules.steps.index(key.step)
        end = key.start + key.step
        pieces = await read_pieces(connection, rules.steps, [info], key.start, end, level)
        result = spans([info], pieces, key.start, end, key.step)
        found.append(Announcement(descriptor, key.series_id, key.step, key.start, key.revision, result[0].statistics))
    return found
