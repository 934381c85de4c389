"""The series of some rooms and what covers a span of them by one statement: one round trip, and one snapshot without a
transaction around it.

Which windows and readings cover a span follows from the series, from their frontiers above all, so that these would
have to be read first. In place of that they are assumed to be as they were seen last. The statement reads them again,
beside what covers the span by that assumption; where they are otherwise, it is asked once more by what they are now.
"""

import json
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from services.aggregation.adapters.postgres.series_info import series_info
from services.aggregation.adapters.postgres.span_cover import cover_query
from services.aggregation.adapters.postgres.stored_columns import (
    WINDOW_RECORD,
    bounds_of_segments,
    bounds_of_windows,
    decode_readings,
    decode_windows,
    segments_in,
    windows_in,
)
from services.aggregation.application.queries.history import RoomKey, RoomSnapshot
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.domain.windows.span_cover import SpanQuery
from services.aggregation.domain.windows.span_statistics import join, singles
from services.chassis.postgres import Connection, Database

_ATTEMPTS: Final = 3
_REMEMBERED: Final = 5_000
"""Rooms and series (about 1 KiB each)."""
_SERIES, _WINDOW, _SEGMENT = range(3)
# The state comes by a subselect, since a join takes twice as long to plan: what meets partitioned tables is planned
# each time, which is more than half of what a room snapshot costs PostgreSQL.
_SERIES_NOW: Final = """
SELECT json_build_array(s, (
        SELECT json_build_object('interval_us', interval_us, 'max_gap_us', max_gap_us, 'frontiers', frontiers)
        FROM series_state WHERE series_id = s.id
    ))::text AS series
FROM series s JOIN unnest($1::text[], $2::text[], $3::text[]) AS r (building, room, sensor_type)
    ON s.building = r.building AND s.room = r.room AND s.sensor_type = r.sensor_type
LIMIT $4
"""
_ROOM_SNAPSHOT: Final = f"""
SELECT {_SERIES} AS part, now.series, NULL::bigint AS place, NULL::bytea AS one, NULL::bytea AS other
FROM ({_SERIES_NOW}) AS now
UNION ALL
SELECT {_WINDOW}, NULL, NULL, {WINDOW_RECORD}, NULL {windows_in(5)}
UNION ALL
SELECT {_SEGMENT}, NULL, r.place, array_send(s.times_us), array_send(s.vals) {segments_in(12)} AND s.late = 0
"""
_NO_STATE: Final[dict[str, Any]] = {"max_gap_us": 0, "frontiers": []}


class _Seen(NamedTuple):
    """A series as PostgreSQL has told it, and what that means."""

    text: str
    info: SeriesInfo


class _Room(NamedTuple):
    """The series of a room, by device, as they were at a time of the monotonic clock."""

    series: Sequence[_Seen]
    at: float


class RoomSnapshots:
    """Remembers the series of rooms that were asked about."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules
        # Frontiers move with the finest step: after a good part of it looking first costs less than looking twice.
        self._fresh = rules.steps[0] * 1e-6 / 4
        self._rooms: dict[RoomKey, _Room] = {}
        self._size = 0

    async def room_snapshot(
        self, rooms: Sequence[RoomKey], start: int, end: int, level: int, limit: int
    ) -> RoomSnapshot | None:
        """See `History`. None, too, where series change faster than they are read."""
        columns = [list(column) for column in zip(*rooms, strict=True)]
        async with self._database.connection() as connection:
            oldest = time.monotonic() - self._fresh
            if any(room not in self._rooms or self._rooms[room].at < oldest for room in rooms):
                self._learn(rooms, [row[0] for row in await connection.fetch(_SERIES_NOW, *columns, limit + 1)])
            for _ in range(_ATTEMPTS):
                assumed = [one for room in rooms if room in self._rooms for one in self._rooms[room].series]
                infos = [one.info for one in assumed]
                if len(infos) > limit or any(info.kind == Kind.COUNTER for info in infos):
                    self._forget(rooms)
                    return None
                asks = [SpanQuery(info, start, end, level) for info in infos]
                texts, pieces = await self._read(connection, [*columns, limit + 1], asks)
                self._learn(rooms, texts)
                if sorted(texts) == sorted(one.text for one in assumed):
                    return RoomSnapshot(infos, pieces)
        return None

    async def _read(
        self, connection: Connection, rooms: Sequence[Any], asks: Sequence[SpanQuery]
    ) -> tuple[list[str], Folded]:
        """The series of the rooms (arguments of `_SERIES_NOW`), and what covers the spans by what `asks` says of
        them."""
        infos = [ask.series for ask in asks]
        windows, owners, ranges = cover_query(self._rules.steps, asks)
        raw = [(infos[part.series].id, part.start, part.end) for part in ranges]
        rows = await connection.fetch(_ROOM_SNAPSHOT, *rooms, *bounds_of_windows(windows), *bounds_of_segments(raw))
        texts: list[str] = []
        records: list[bytes] = []
        segments: list[tuple[int, bytes, bytes]] = []
        for part, series, place, one, other in rows:
            if part == _SERIES:
                texts.append(series)
            elif part == _WINDOW:
                records.append(one)
            else:
                segments.append((place, one, other))
        place, start, found = decode_windows(records)
        stored = Folded(np.array(owners, np.int64)[place], start, found)
        return texts, join([stored, singles(infos, ranges, decode_readings(segments, raw))])

    def _forget(self, rooms: Sequence[RoomKey]) -> None:
        for room in rooms:
            if (found := self._rooms.pop(room, None)) is not None:
                self._size -= 1 + len(found.series)

    def _learn(self, rooms: Sequence[RoomKey], texts: Sequence[str]) -> None:
        known = {one.text: one for room in rooms if room in self._rooms for one in self._rooms[room].series}
        found: dict[RoomKey, list[_Seen]] = {room: [] for room in rooms}
        for text in texts:
            one = known.get(text) or self._parsed(text)
            found[RoomKey(one.info.building, one.info.room, one.info.sensor_type)].append(one)
        self._forget(rooms)
        now = time.monotonic()
        for room, series in found.items():
            self._rooms[room] = _Room(sorted(series, key=lambda one: one.info.device), now)
            self._size += 1 + len(series)
        while self._size > _REMEMBERED and len(self._rooms) > len(found):
            self._forget([next(iter(self._rooms))])

    def _parsed(self, text: str) -> _Seen:
        series, state = json.loads(text)
        return _Seen(text, series_info(_NO_STATE | series | (state or {}), self._rules))
