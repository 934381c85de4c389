"""The port of committed data: what queries read."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.late.amendments import Amendment
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.windows.fold import Folded


class RoomKey(NamedTuple):
    """One sensor type in one room."""

    building: str
    room: str
    sensor_type: str


class Snapshot(Protocol):
    """One consistent view of committed data."""

    async def series(self, building: str, room: str, sensor_type: str, device: str) -> Sequence[SeriesInfo]:
        """The series of a room and sensor type, by device; of one device where it is given."""
        ...

    async def rooms(self, rooms: Sequence[RoomKey]) -> Sequence[SeriesInfo]:
        """The series of all these rooms, in any order. No room is named twice."""
        ...

    async def list_series(
        self, building: str, room: str, sensor_type: str, after: tuple[str, str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """The first `limit` series of a building by (room, sensor type, device), as bytes compare; those beyond `after`
        where it is given, of one room and of one sensor type where they are not empty."""
        ...

    async def in_scope(self, scope: Scope, limit: int) -> Sequence[SeriesInfo]:
        """The first `limit` series that a rule of alarms is about, by id, with what people have decided about them."""
        ...

    async def building(
        self, building: str, sensor_type: str, after: tuple[str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """The first `limit` series of a building and sensor type by (room, device), as bytes compare; those beyond
        `after` where it is given."""
        ...

    async def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int) -> Folded:
        """What covers [start, end) and its neighbourhood, with windows up to `level` (see `cover`, `spans`)."""
        ...

    async def readings(self, infos: Sequence[SeriesInfo], start: int, end: int, *, counting: bool = False) -> Readings:
        """All raw readings in [start, end), or only those that count in windows; `series` are places in `infos`. Sorted
        by series and time."""
        ...

    async def amendments(
        self, infos: Sequence[SeriesInfo], start: int, end: int
    ) -> Mapping[tuple[int, int], Amendment]:
        """(place in infos, event time) -> what was made of the reading, of those in [start, end) that were amended."""
        ...

    async def next_reading(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """The event time of a reading at or after `bound` (before it), with no quarter of an hour that holds readings
        between the two; None: there is none."""
        ...

    async def next_known(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """The first instant at or after `bound` (the last one before it) at which there is a reading that counts in
        windows, or that lies between two of them which are no farther apart than `max_gap`; to a quarter of an hour,
        with no known time between. None: there is none. `bound` is a whole quarter of an hour."""
        ...

    async def newest(self, infos: Sequence[SeriesInfo], since: int) -> dict[int, int]:
        """Place -> event time of the newest reading that counts in windows, of the series that have one at or after
        `since`."""
        ...

    async def next_window(
        self, infos: Sequence[SeriesInfo], step: int, bound: int, until: int | None, *, after: bool
    ) -> int | None:
        """The start of the first stored window of the step at or after `bound`, or of the last one before it; those
        beyond `until` need not be found."""
        ...

    async def revisions(
        self, infos: Sequence[SeriesInfo], step: int, start: int, end: int
    ) -> dict[tuple[int, int], int]:
        """(place in infos, start) -> revision of the stored windows of the step."""
        ...


class RoomSnapshot(NamedTuple):
    """Series, and what covers a span of them (`series` of `pieces`: places in `infos`), as they were at one moment."""

    infos: Sequence[SeriesInfo]
    pieces: Folded


class History(Protocol):
    """What has been committed."""

    async def room_snapshot(
        self, rooms: Sequence[RoomKey], start: int, end: int, level: int, limit: int
    ) -> RoomSnapshot | None:
        """What a snapshot would show now of all these rooms (see `Snapshot.rooms`, `Snapshot.pieces`), for less. None
        where it takes a snapshot: there are more than `limit` series, or such as take several looks (counters)."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """A view that does not change while it is read."""
        ...
