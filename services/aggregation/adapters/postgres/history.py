"""`History` on PostgreSQL: what the queries read, in one snapshot of committed data."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import numpy as np

from services.aggregation.adapters.postgres import amendments
from services.aggregation.adapters.postgres.correction_decisions import read_decisions
from services.aggregation.adapters.postgres.list_lookups import newest_readings, next_known, stored_revisions
from services.aggregation.adapters.postgres.room_snapshot import RoomSnapshots
from services.aggregation.adapters.postgres.series_info import SERIES, SERIES_OF_ROOMS, series_info
from services.aggregation.adapters.postgres.span_cover import cover_query
from services.aggregation.adapters.postgres.stored_columns import (
    AskedAnchor,
    anchors_before,
    raw_readings,
    readings_after,
    stored_windows,
)
from services.aggregation.application.queries.history import RoomKey, RoomSnapshot
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.late.amendments import Amendment
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import NO_END
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.domain.windows.span_cover import SpanQuery
from services.aggregation.domain.windows.span_statistics import join, singles, undecided
from services.chassis.postgres import Connection, Database

_READ_AHEAD: Final = 32
"""Readings of a counter after a span that are looked at first, where they judge those in it."""


async def read_pieces(connection: Connection, steps: Sequence[int], asks: Sequence[SpanQuery]) -> Folded:
    """What covers each span, and its neighbourhood (see `spans`); `series` are places in `asks`."""
    windows, owners, ranges = cover_query(steps, asks)
    infos = [ask.series for ask in asks]
    counters = [at for at, part in enumerate(ranges) if infos[part.series].kind == Kind.COUNTER]
    if decided := [infos[ranges[at].series].id for at in counters if infos[ranges[at].series].decided]:
        decisions = await read_decisions(connection, decided)
        infos = [replace(info, decisions=decisions.get(info.id, {})) for info in infos]
    of_counters = [(infos[ranges[at].series], ranges[at].start) for at in counters]
    wanted = [AskedAnchor(info.id, first, info.max_gap) for info, first in of_counters]
    for at, before in zip(counters, await anchors_before(connection, steps[0], wanted), strict=True):
        ranges[at] = ranges[at]._replace(anchor=before.anchor)
    stored, _ = await stored_windows(connection, windows)
    readings, _ = await raw_readings(connection, [(infos[part.series].id, part.read_from, part.end) for part in ranges])
    ahead = _READ_AHEAD
    unsure = undecided(infos, ranges, readings)
    while unsure:
        asked = [(infos[ranges[at].series].id, ranges[at].end) for at in unsure]
        for at, following in zip(unsure, await readings_after(connection, asked, ahead), strict=True):
            ranges[at] = ranges[at]._replace(following=following)
        more = {at for at in unsure if len(ranges[at].following) == ahead}
        unsure = [at for at in undecided(infos, ranges, readings) if at in more] if more else []
        ahead *= _READ_AHEAD
    owner = np.array(owners, np.int64)
    return join([Folded(owner[stored.series], stored.start, stored.rows), singles(infos, ranges, readings)])


class PostgresSnapshot:
    """One consistent view. See `Snapshot`."""

    def __init__(self, connection: Connection, rules: Rules) -> None:
        self._connection = connection
        self._rules = rules

    async def series(self, building: str, room: str, sensor_type: str, device: str) -> Sequence[SeriesInfo]:
        """The series of a room and sensor type; of one device where it is given."""
        rows = await self._connection.fetch(
            f"""
            {SERIES} WHERE s.building = $1 AND s.room = $2 AND s.sensor_type = $3 AND ($4 = '' OR s.device = $4)
            ORDER BY s.device
            """,
            building,
            room,
            sensor_type,
            device,
        )
        return [series_info(row, self._rules) for row in rows]

    async def rooms(self, rooms: Sequence[RoomKey]) -> Sequence[SeriesInfo]:
        """The series of all these rooms."""
        columns = ([*column] for column in zip(*rooms, strict=True))
        rows = await self._connection.fetch(SERIES_OF_ROOMS, *columns)
        return sorted((series_info(row, self._rules) for row in rows), key=_by_device)

    async def in_scope(self, scope: Scope, limit: int) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        rows = await self._connection.fetch(
            f"""
            {SERIES} WHERE s.sensor_type = $1 AND ($2 = '' OR s.building = $2) AND ($3 = '' OR s.room = $3)
                AND ($4 = '' OR s.device = $4) AND ($5::int IS NULL OR s.kind = $5)
            ORDER BY s.id LIMIT $6
            """,
            scope.sensor_type,
            scope.building,
            scope.room,
            scope.device,
            scope.kind,
            limit,
        )
        infos = [series_info(row, self._rules) for row in rows]
        if not (decided := [info.id for info in infos if info.decided]):
            return infos
        decisions = await read_decisions(self._connection, decided)
        return [replace(info, decisions=decisions.get(info.id, {})) for info in infos]

    async def list_series(
        self, building: str, room: str, sensor_type: str, after: tuple[str, str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        rows = await self._connection.fetch(
            f"""
            {SERIES} WHERE s.building = $1 AND ($2 = '' OR s.room = $2) AND ($3 = '' OR s.sensor_type = $3)
                AND (s.room COLLATE "C", s.sensor_type COLLATE "C", s.device COLLATE "C") > ($4, $5, $6)
            ORDER BY s.room COLLATE "C", s.sensor_type COLLATE "C", s.device COLLATE "C" LIMIT $7
            """,
            building,
            room,
            sensor_type,
            *(after or ("", "", "")),
            limit,
        )
        return [series_info(row, self._rules) for row in rows]

    async def building(
        self, building: str, sensor_type: str, after: tuple[str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """The first series by (room, device) beyond `after`."""
        room, device = after or ("", "")
        rows = await self._connection.fetch(
            f"""
            {SERIES} WHERE s.building = $1 AND s.sensor_type = $2
                AND (s.room COLLATE "C", s.device COLLATE "C") > ($3, $4)
            ORDER BY s.room COLLATE "C", s.device COLLATE "C" LIMIT $5
            """,
            building,
            sensor_type,
            room,
            device,
            limit,
        )
        return [series_info(row, self._rules) for row in rows]

    async def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int) -> Folded:
        """What covers [start, end)."""
        asks = [SpanQuery(info, start, end, level) for info in infos]
        return await read_pieces(self._connection, self._rules.steps, asks)

    async def readings(self, infos: Sequence[SeriesInfo], start: int, end: int, *, counting: bool = False) -> Readings:
        """See `Snapshot`."""
        counted, others = await raw_readings(self._connection, [(info.id, start, end) for info in infos])
        return counted if counting else (counted + others).sorted()

    async def amendments(
        self, infos: Sequence[SeriesInfo], start: int, end: int
    ) -> Mapping[tuple[int, int], Amendment]:
        """See `Snapshot`."""
        return await amendments.shown(self._connection, infos, start, end)

    async def next_reading(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """The start of a segment near the first one at or after `bound`, or of the last one before it; None: there is
        none."""
        ids = [info.id for info in infos]
        if after:
            return await self._connection.fetchval(
                """
                SELECT min(found.first_us) FROM unnest($1::bigint[]) AS i (id) CROSS JOIN LATERAL
                (SELECT first_us FROM segments WHERE series_id = i.id AND first_us >= $2
                 ORDER BY first_us LIMIT 1) found
                """,
                ids,
                bound,
            )
        return await self._connection.fetchval(
            """
            SELECT max(found.first_us) FROM unnest($1::bigint[]) AS i (id) CROSS JOIN LATERAL
            (SELECT first_us FROM segments WHERE series_id = i.id AND first_us < $2
             ORDER BY first_us DESC LIMIT 1) found
            """,
            ids,
            bound,
        )

    async def next_known(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """Where something is known at or after the bound, or before it."""
        return await next_known(self._connection, infos, bound, after=after)

    async def newest(self, infos: Sequence[SeriesInfo], since: int) -> dict[int, int]:
        """See `Snapshot`."""
        return await newest_readings(self._connection, infos, since)

    async def next_window(
        self, infos: Sequence[SeriesInfo], step: int, bound: int, until: int | None, *, after: bool
    ) -> int | None:
        """See `Snapshot`."""
        order, pick = ("ASC", "min") if after else ("DESC", "max")
        known = until if until is not None else NO_END if after else -NO_END
        # Between both bounds, so that PostgreSQL leaves out partitions unopened.
        return await self._connection.fetchval(
            f"""
            SELECT {pick}(found.start_us) FROM unnest($1::bigint[]) AS i (id) CROSS JOIN LATERAL
            (SELECT start_us FROM windows WHERE series_id = i.id AND step_us = $4 AND start_us >= $2 AND start_us < $3
             ORDER BY start_us {order} LIMIT 1) found
            """,
            [info.id for info in infos],
            min(bound, known),
            max(bound, known),
            step,
        )

    async def revisions(
        self, infos: Sequence[SeriesInfo], step: int, start: int, end: int
    ) -> dict[tuple[int, int], int]:
        """(place, start) -> revision of the stored windows."""
        return await stored_revisions(self._connection, infos, step, start, end)


def _by_device(info: SeriesInfo) -> tuple[RoomKey, str]:
    return RoomKey(info.building, info.room, info.sensor_type), info.device


class PostgresHistory:
    """Opens snapshots."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules
        self._room_snapshots = RoomSnapshots(database, rules)

    async def room_snapshot(
        self, rooms: Sequence[RoomKey], start: int, end: int, level: int, limit: int
    ) -> RoomSnapshot | None:
        """See `History`."""
        return await self._room_snapshots.room_snapshot(rooms, start, end, level, limit)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[PostgresSnapshot]:
        """A view that does not change while it is read."""
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            yield PostgresSnapshot(connection, self._rules)
