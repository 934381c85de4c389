"""Announcements of windows that late readings have changed, from what is stored now."""

from collections.abc import Sequence

import asyncpg
import numpy as np

from services.aggregation.adapters.postgres.history import read_pieces
from services.aggregation.application.partition.announcements import Announcement, WindowKey
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.domain.windows.span_cover import SpanQuery
from services.aggregation.domain.windows.span_statistics import spans
from services.chassis.postgres import Connection


async def revised_announcements(connection: Connection, rules: Rules, keys: Sequence[WindowKey]) -> list[Announcement]:
    """Reads inside the transaction that has just written the windows."""
    if not keys:
        return []
    rows = await connection.fetch(
        """
        SELECT st.series_id, st.interval_us, st.max_gap_us, st.frontiers, s.decided
        FROM series_state st JOIN series s ON s.id = st.series_id WHERE st.series_id = ANY($1::bigint[])
        """,
        list({key.series_id for key in keys}),
    )
    states = {row["series_id"]: row for row in rows}
    asks = [_ask(rules, key, states[key.series_id]) for key in keys]
    parts = await read_pieces(connection, rules.steps, asks)
    order = np.argsort(parts.series, kind="stable")
    bounds = np.searchsorted(parts.series[order], np.arange(len(keys) + 1)).tolist()
    found: list[Announcement] = []
    for place, (key, ask) in enumerate(zip(keys, asks, strict=True)):
        own = parts.take(order[bounds[place] : bounds[place + 1]])
        alone = Folded(np.zeros_like(own.series), own.start, own.rows)
        result = spans([ask.series], alone, ask.start, ask.end, key.step)[0]
        found.append(Announcement(key.descriptor, key.series_id, key.step, key.start, key.revision, result.statistics))
    return found


def _ask(rules: Rules, key: WindowKey, state: asyncpg.Record) -> SpanQuery:
    descriptor = key.descriptor
    info = SeriesInfo(
        key.series_id,
        *descriptor.key,
        int(descriptor.kind),
        descriptor.unit,
        state["interval_us"],
        state["max_gap_us"],
        state["frontiers"],
        descriptor.counting,
        state["decided"],
    )
    return SpanQuery(info, key.start, key.start + key.step, rules.steps.index(key.step), key.settled)
