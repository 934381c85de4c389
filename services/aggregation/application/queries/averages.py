"""The average of a room, of a building, and of each room of a building."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from services.aggregation.application.queries.history import History, RoomKey, RoomSnapshot, Snapshot
from services.aggregation.application.queries.single_flight import SingleFlight
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.times import DAY, MINUTE, NEVER
from services.aggregation.domain.windows.aggregate import Aggregate, Aggregator
from services.aggregation.domain.windows.span_statistics import Span, spans
from services.aggregation.domain.windows.statistics import Statistics
from services.chassis.paging import Page, PageTokens, page_limit

DEFAULT_WINDOW: Final = 15 * MINUTE
DEFAULT_SENSOR_TYPE: Final = "temperature"
_AT_ONCE: Final = 200
"""Series that are in memory at the same time, and worked out without letting other requests run."""
_SNAPSHOTS: Final = 2
"""Answers about rooms that are under way at the same time; those who ask meanwhile share the next one."""
_MAX_SHARED: Final = 64
_BEYOND: Final = "~"
"""Greater than every id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AverageQuery:
    """A building, a sensor type and a span. `window` and `at` in microseconds; None: 15 minutes, now."""

    building: str
    sensor_type: str = DEFAULT_SENSOR_TYPE
    window: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRoomAverage(AverageQuery):
    """Of all devices of the room together."""

    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRoomAverages(AverageQuery):
    """A page of the rooms that have the sensor type, by room."""

    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class RoomAverage:
    """The answer. `statistics` of all series together (`known` false: no data), but for the `silent` ones: so many
    series of the room have no data."""

    room: str
    start: int
    end: int
    unit: str
    statistics: Statistics
    provisional: bool
    silent: int


class BuildingAverage(NamedTuple):
    """The answer for all rooms together. `rooms`: those that have the sensor type."""

    start: int
    end: int
    rolled: Aggregate
    rooms: int


class _Period(NamedTuple):
    """[start, end), and the present."""

    start: int
    end: int
    now: int


class Averages:
    """Answers from a few windows and some raw readings at the edges, however long the history is."""

    def __init__(self, history: History, rules: Rules, clock: Callable[[], int]) -> None:
        self._history = history
        self._rules = rules
        self._level = len(rules.steps) - 1
        self._clock = clock
        self._flight = SingleFlight(self._get, at_once=_SNAPSHOTS, limit=_MAX_SHARED)

    async def get(self, query: GetRoomAverage) -> RoomAverage:
        """Raises FieldInvalid."""
        period = self._period(query, self._clock())
        room = RoomKey(query.building, query.room, query.sensor_type)
        return await self._flight.ask((period.start, period.end), room)

    async def _get(self, span: tuple[int, int], rooms: Sequence[RoomKey]) -> Sequence[RoomAverage]:
        """The averages of several rooms over the same span, in one snapshot."""
        start, end = span
        period = _Period(start, end, self._clock())
        rollups = {room: Aggregator(end - start) for room in rooms}

        def owner(info: SeriesInfo) -> Aggregator:
            return rollups[RoomKey(info.building, info.room, info.sensor_type)]

        found = await self._history.room_snapshot(list(rollups), start, end, self._level, _AT_ONCE)
        if found is not None:
            self._add(found, period, owner)
            return [_room_average(room.room, period, rollups[room]) for room in rooms]
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.rooms(list(rollups))
            for at in range(0, len(infos), _AT_ONCE):
                await self._fold(snapshot, infos[at : at + _AT_ONCE], period, owner)
        return [_room_average(room.room, period, rollups[room]) for room in rooms]

    async def building(self, query: AverageQuery) -> BuildingAverage:
        """All rooms of the building together, in one snapshot. Raises FieldInvalid."""
        period = self._period(query, self._clock())
        rollup = Aggregator(period.end - period.start)
        rooms, last = 0, ""
        async with self._history.snapshot() as snapshot:
            async for infos in _series(snapshot, query, None, _AT_ONCE):
                names = [last, *(info.room for info in infos)]
                rooms += sum(one != other for one, other in pairwise(names))
                last = names[-1]
                await self._fold(snapshot, infos, period, lambda _: rollup)
        return BuildingAverage(period.start, period.end, _result(period, rollup), rooms)

    async def rooms(self, query: ListRoomAverages) -> Page[RoomAverage]:
        """A page of rooms, all of one snapshot; further pages are of the same span. Raises FieldInvalid and
        PageTokenInvalid."""
        tokens = PageTokens(
            "room averages",
            building=query.building,
            sensor_type=query.sensor_type,
            window=query.window,
            at=query.at,
        )
        after = tokens.read(query.page_token, (str, int))
        period = self._period(query, self._clock(), None if after is None else int(after[1]))
        size = page_limit(query.page_size)
        found: list[tuple[str, Aggregator]] = []

        def owner(info: SeriesInfo) -> Aggregator:
            if not found or found[-1][0] != info.room:
                found.append((info.room, Aggregator(period.end - period.start)))
            return found[-1][1]

        async with self._history.snapshot() as snapshot:
            # Mostly a room has one series, so that one more than asked for tells whether there is a next page.
            start = None if after is None else (str(after[0]), _BEYOND)
            async for infos in _series(snapshot, query, start, min(_AT_ONCE, size + 1)):
                await self._fold(snapshot, infos, period, owner)
                if len(found) > size:
                    break
        averages = [_room_average(room, period, rollup) for room, rollup in found[:size]]
        return Page(averages, tokens.next(found, size, lambda item: (item[0], period.end)))

    def _period(self, query: AverageQuery, now: int, end: int | None = None) -> _Period:
        window = DEFAULT_WINDOW if query.window is None else query.window
        if window % BASE or not BASE <= window <= 31 * DAY:
            raise FieldInvalid("window", "must be a whole multiple of 5s, from 5s to 31 days")
        if end is None:
            # Without a time the running 5 s belong to the span: what has just been accepted counts.
            end = now + BASE if query.at is None else query.at
        if not window <= end <= now + DAY:
            raise FieldInvalid("at", "must be between 1970 and tomorrow")
        end -= end % BASE
        return _Period(end - window, end, now)

    async def _fold(
        self,
        snapshot: Snapshot,
        infos: Sequence[SeriesInfo],
        period: _Period,
        owner: Callable[[SeriesInfo], Aggregator],
    ) -> None:
        pieces = await snapshot.pieces(infos, period.start, period.end, self._level)
        self._add(RoomSnapshot(infos, pieces), period, owner)

    def _add(self, found: RoomSnapshot, period: _Period, owner: Callable[[SeriesInfo], Aggregator]) -> None:
        start, end, now = period
        for span in spans(found.infos, found.pieces, start, end, end - start):
            info = found.infos[span.series]
            owner(info).add(info, span, still_open=self._open(info, span, end, now))

    def _open(self, info: SeriesInfo, span: Span, end: int, now: int) -> bool:
        """Whether readings that change the span would be no surprise."""
        if span.newest != NEVER and span.newest >= end + self._rules.grace:
            return False
        return now < max(end, span.newest) + min(info.max_gap, self._rules.edge_wait) + self._rules.grace


async def _series(
    snapshot: Snapshot, query: AverageQuery, after: tuple[str, str] | None, count: int
) -> AsyncGenerator[Sequence[SeriesInfo]]:
    """The series of the building, some at a time."""
    while True:
        infos = await snapshot.building(query.building, query.sensor_type, after, count)
        if infos:
            yield infos
        if len(infos) < count:
            return
        after = (infos[-1].room, infos[-1].device)


def _result(period: _Period, rollup: Aggregator) -> Aggregate:
    found = rollup.result()
    # Of nothing, too, more may come until the span is over.
    return found if found.statistics.known else found._replace(provisional=period.now < period.end)


def _room_average(room: str, period: _Period, rollup: Aggregator) -> RoomAverage:
    found = _result(period, rollup)
    return RoomAverage(room, period.start, period.end, found.unit, found.statistics, found.provisional, found.silent)
