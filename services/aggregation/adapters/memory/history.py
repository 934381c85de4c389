"""`History` over the store in memory, for tests and as the reference of its contract suite."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np

from services.aggregation.adapters.memory.amendments import applied
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.queries.history import RoomKey, RoomSnapshot
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.late.amendments import Amendment
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import SeriesInfo, SeriesKey
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.fold import Folded


class InMemorySnapshot:
    """What the store holds. See `Snapshot`."""

    def __init__(self, store: InMemoryPartitionStore) -> None:
        self._store = store

    async def series(self, building: str, room: str, sensor_type: str, device: str) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        found = [info for info in self._all(building, sensor_type) if info.room == room]
        return [info for info in found if not device or info.device == device]

    async def rooms(self, rooms: Sequence[RoomKey]) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        return [info for room in rooms for info in await self.series(*room, "")]

    async def in_scope(self, scope: Scope, limit: int) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        infos = [self._store.info(series_id) for series_id in sorted(self._store.series)]
        keys = [SeriesKey(info.building, info.room, info.sensor_type, info.device) for info in infos]
        return [info for key, info in zip(keys, infos, strict=True) if scope.holds(key, info.kind)][:limit]

    async def list_series(
        self, building: str, room: str, sensor_type: str, after: tuple[str, str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        infos = [self._store.info(series_id) for series_id in self._store.series]
        found = {
            (info.room, info.sensor_type, info.device): info
            for info in infos
            if info.building == building and room in ("", info.room) and sensor_type in ("", info.sensor_type)
        }
        return [found[place] for place in sorted(found) if after is None or place > after][:limit]

    async def building(
        self, building: str, sensor_type: str, after: tuple[str, str] | None, limit: int
    ) -> Sequence[SeriesInfo]:
        """See `Snapshot`."""
        found = self._all(building, sensor_type)
        return [info for info in found if after is None or (info.room, info.device) > after][:limit]

    def _all(self, building: str, sensor_type: str) -> list[SeriesInfo]:
        infos = [self._store.info(series_id) for series_id in self._store.series]
        found = [info for info in infos if (info.building, info.sensor_type) == (building, sensor_type)]
        return sorted(found, key=lambda info: (info.room, info.device))

    async def pieces(self, infos: Sequence[SeriesInfo], start: int, end: int, level: int) -> Folded:
        """See `Snapshot`."""
        return self._store.pieces(infos, start, end, level)

    async def readings(self, infos: Sequence[SeriesInfo], start: int, end: int, *, counting: bool = False) -> Readings:
        """See `Snapshot`."""
        rows = [
            (place, time, value)
            for place, info in enumerate(infos)
            for time, value in (self._store.counted.get(info.id, {}).items() if counting else self._readings(info))
            if start <= time < end
        ]
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        series, time, value = columns
        return Readings(np.array(series, np.int64), np.array(time, np.int64), np.array(value, np.float64)).sorted()

    def _readings(self, info: SeriesInfo) -> list[tuple[int, float]]:
        held = (self._store.counted, self._store.skipped)
        voided = [(time, reading.value) for time, reading in self._store.voided.get(info.id, {}).items()]
        return [*voided, *(item for readings in held for item in readings.get(info.id, {}).items())]

    async def amendments(
        self, infos: Sequence[SeriesInfo], start: int, end: int
    ) -> Mapping[tuple[int, int], Amendment]:
        """See `Snapshot`."""
        return {
            (place, one.time): applied(self._store.amendments, info.id, one.time)[-1].shown
            for place, info in enumerate(infos)
            for one in self._store.amendments.values()
            if one.series_id == info.id
            and start <= one.time < end
            and applied(self._store.amendments, info.id, one.time)
        }

    async def next_reading(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """See `Snapshot`."""
        return _next([time for info in infos for time, _ in self._readings(info)], bound, after=after)

    async def next_known(self, infos: Sequence[SeriesInfo], bound: int, *, after: bool) -> int | None:
        """See `Snapshot`."""
        found: list[int] = []
        for info in infos:
            times = list(self._store.counted.get(info.id, {}))
            earlier, later = _next(times, bound, after=False), _next(times, bound, after=True)
            if earlier is not None and later is not None and later - earlier <= info.max_gap:
                return bound if after else bound - 1
            found += [time for time in [later if after else earlier] if time is not None]
        return _next(found, bound, after=after)

    async def newest(self, infos: Sequence[SeriesInfo], since: int) -> dict[int, int]:
        """See `Snapshot`."""
        found = {place: max(self._store.counted.get(info.id, {}), default=NEVER) for place, info in enumerate(infos)}
        return {place: time for place, time in found.items() if time >= since}

    async def next_window(
        self, infos: Sequence[SeriesInfo], step: int, bound: int, until: int | None, *, after: bool
    ) -> int | None:
        """See `Snapshot`."""
        ids = {info.id for info in infos}
        starts = [start for series_id, own, start in self._store.windows if series_id in ids and own == step]
        return _next(starts, bound, after=after)

    async def revisions(
        self, infos: Sequence[SeriesInfo], step: int, start: int, end: int
    ) -> dict[tuple[int, int], int]:
        """See `Snapshot`."""
        places = {info.id: place for place, info in enumerate(infos)}
        return {
            (places[series_id], at): revision
            for (series_id, own, at), (revision, _) in self._store.windows.items()
            if series_id in places and own == step and start <= at < end
        }


def _next(times: list[int], bound: int, *, after: bool) -> int | None:
    if after:
        return min((time for time in times if time >= bound), default=None)
    return max((time for time in times if time < bound), default=None)


class InMemoryHistory:
    """Opens snapshots; they are consistent as long as nothing is committed meanwhile."""

    def __init__(self, store: InMemoryPartitionStore) -> None:
        self._store = store

    async def room_snapshot(
        self, rooms: Sequence[RoomKey], start: int, end: int, level: int, limit: int
    ) -> RoomSnapshot | None:
        """See `History`."""
        async with self.snapshot() as snapshot:
            infos = await snapshot.rooms(rooms)
            return None if len(infos) > limit else RoomSnapshot(infos, await snapshot.pieces(infos, start, end, level))

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[InMemorySnapshot]:
        """A view."""
        yield InMemorySnapshot(self._store)
