"""`History`: the same questions to the one in memory and the one on PostgreSQL, through the averages that ask them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import numpy as np
import pytest

from services.aggregation.adapters.memory.history import InMemoryHistory
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres import room_snapshot
from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import PartitionStore
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.queries.averages import (
    AverageQuery,
    Averages,
    GetRoomAverage,
    ListRoomAverages,
    RoomAverage,
)
from services.aggregation.application.queries.history import History, RoomKey
from services.aggregation.application.queries.series_list import SeriesFilter, SeriesList
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesInfo, SeriesKey
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.fold import Folded
from services.aggregation.settings import MIGRATIONS
from services.chassis.paging import PageTokenInvalid
from services.chassis.postgres import Outbox, open_database
from tests.support.aggregation.partition import T0, Arrival, message
from tests.support.postgres import Schemas

RULES = Rules(announced=())
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


def series(room: str, device: str = "d1", **more: object) -> Descriptor:
    found = {"building": "b1", "sensor_type": "temperature", "kind": Kind.GAUGE, "unit": "K"} | more
    key = SeriesKey(str(found["building"]), room, str(found["sensor_type"]), device)
    return Descriptor(key, Kind(found["kind"]), str(found["unit"]), 5 * SECOND)  # pyright: ignore


class Rig:
    """A store that can be fed, and questions to what it holds."""

    def __init__(self, store: PartitionStore, history: History, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._sequence = 0
        self.history = history
        self.averages = Averages(history, RULES, lambda: T0 + DAY)

    async def feed(self, known: Sequence[Descriptor], arrivals: Sequence[Arrival]) -> None:
        processor = Processor(self._store, self._lease, RULES, lambda raw: known[int(raw)], lambda: 0.0)
        await processor.load()
        self._sequence += 1
        await processor.process([message(self._sequence, sorted(arrivals, key=lambda one: one[1]))], [])

    async def pages(self, size: int, **more: object) -> list[RoomAverage]:
        found: list[RoomAverage] = []
        token = ""
        while True:
            query = ListRoomAverages(building="b1", page_size=size, page_token=token, **more)  # pyright: ignore
            page = await self.averages.rooms(query)
            assert len(page.items) <= size
            found += page.items
            token = page.next_token
            if not token:
                return found


@asynccontextmanager
async def postgres_rig(databases: Databases) -> AsyncGenerator[Rig]:
    """The real one."""
    async with (
        databases({"aggregation": MIGRATIONS}) as dsn,
        open_database(dsn, schema="aggregation", application_name="tests") as database,
    ):
        stored = PostgresPartitionStore(
            database,
            RULES,
            Outbox(source="tocsin/tests"),
            bundle=WindowEncoder().bundle,
            bundle_one_by_one=closed_bundle,
            describe=lambda raw: series("r1"),
        )
        await stored.table_partitions.ensure_steps(RULES.steps)
        leases = PostgresLeaseStore(database, partitions=1, ttl=timedelta(minutes=1))
        await leases.prepare()
        (lease,) = await leases.acquire("me", 1)
        yield Rig(stored, PostgresHistory(database, RULES), lease)


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        store = InMemoryPartitionStore(RULES)
        yield Rig(store, InMemoryHistory(store), Lease(0, "me", 1))
        return
    async with postgres_rig(databases) as made:
        yield made


def steady(number: int, value: float, start: int = T0, end: int = T0 + HOUR, every: int = 5 * SECOND) -> list[Arrival]:
    return [(number, at, value) for at in range(start, end, every)]


async def test_a_building_is_all_of_its_readings_and_nothing_else(rig: Rig) -> None:
    known = [
        series("r1"),
        series("r2"),
        series("r2", "d2"),
        series("r3"),
        series("r1", building="b2"),
        series("r1", sensor_type="humidity"),
    ]
    arrivals = [*steady(0, 290.0), *steady(1, 300.0), *steady(2, 310.0, every=10 * SECOND)]
    arrivals += [*steady(3, 900.0, end=T0 + MINUTE), *steady(4, 900.0), *steady(5, 900.0)]
    await rig.feed(known, arrivals)
    end = T0 + 50 * MINUTE
    found = await rig.averages.building(AverageQuery(building="b1", at=end))
    together = found.rolled.statistics
    assert (found.end, found.start) == (end, end - 15 * MINUTE)
    assert (found.rooms, found.rolled.rooms, together.series, found.rolled.unit) == (3, 2, 3, "K")
    # 180, 180 and 90 readings: the same as of one room that has all the devices.
    assert together.count == 450
    assert together.mean == pytest.approx((180 * 290 + 180 * 300 + 90 * 310) / 450)
    assert together.time_weighted_mean == pytest.approx(300.0)
    assert (together.min, together.max) == (290.0, 310.0)
    assert together.covered_ratio == 1.0
    assert not found.rolled.provisional
    room = await rig.averages.get(GetRoomAverage(building="b1", room="r2", at=end))
    assert room.statistics.mean == pytest.approx((180 * 300 + 90 * 310) / 270)


async def test_what_has_ever_been_sent_is_listed_in_pages(rig: Rig) -> None:
    known = [
        series("r2", "d2"),
        series("r2", "d10"),
        series("R3", sensor_type="humidity", unit="%"),
        series("r2", "", sensor_type="energy", kind=Kind.COUNTER, unit="Wh"),
        series("r1", building="b2"),
    ]
    await rig.feed(known, [(number, T0, 5.0) for number in range(len(known))])
    query = SeriesList(rig.history)

    async def listed(wanted: SeriesFilter, size: int) -> list[tuple[str, str, str, str]]:
        found: list[SeriesInfo] = []
        token = ""
        while True:
            page = await query.page(wanted, size, token)
            assert len(page.items) <= size
            found += page.items
            if not (token := page.next_token):
                return [(one.room, one.sensor_type, one.device, one.unit) for one in found]

    everything = [
        ("R3", "humidity", "d1", "%"),
        ("r2", "energy", "", "Wh"),
        ("r2", "temperature", "d10", "K"),
        ("r2", "temperature", "d2", "K"),
    ]
    for size in (1, 2, 4, 5):
        assert await listed(SeriesFilter("b1"), size) == everything
    assert await listed(SeriesFilter("b1", "r2"), 2) == everything[1:]
    assert await listed(SeriesFilter("b1", "r2", "temperature"), 1) == everything[2:]
    assert await listed(SeriesFilter("b1", sensor_type="humidity"), 1) == everything[:1]
    assert await listed(SeriesFilter("b3"), 10) == []
    page = await query.page(SeriesFilter("b1"), 1, "")
    with pytest.raises(PageTokenInvalid):
        await query.page(SeriesFilter("b1", "r2"), 1, page.next_token)


@pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.COUNTER])
async def test_silent_devices_are_counted_beside(rig: Rig, kind: Kind) -> None:
    """Two of three have fallen silent. Rooms of meters are read from a snapshot, the others at a glance."""
    places = [("r1", "d1"), ("r1", "d2"), ("r1", "d3"), ("r2", "d1"), ("r3", "d1")]
    known = [series(room, device, kind=kind) for room, device in places]
    known.append(series("r1", "d4", kind=kind, building="b2"))
    ends = [HOUR, MINUTE, 2 * MINUTE, MINUTE, HOUR, MINUTE]
    await rig.feed(known, [one for place, end in enumerate(ends) for one in steady(place, 5.0, end=T0 + end)])
    for at, expected in (
        (T0 + 15 * MINUTE, [(3, 0), (1, 0), (1, 0)]),
        (T0 + 50 * MINUTE, [(1, 2), (0, 1), (1, 0)]),
        (T0 + 5 * HOUR, [(0, 3), (0, 1), (0, 1)]),
    ):
        names = ["r1", "r2", "r3"]
        rooms = [await rig.averages.get(GetRoomAverage(building="b1", room=room, at=at)) for room in names]
        assert [(room.statistics.series, room.silent) for room in rooms] == expected
        assert await rig.pages(1, at=at) == rooms
        rolled = (await rig.averages.building(AverageQuery(building="b1", at=at))).rolled
        assert rolled.statistics.series == sum(some for some, _ in expected)
        assert rolled.silent == sum(silent for _, silent in expected)
    lasting = await rig.averages.get(GetRoomAverage(building="b1", room="r1", at=T0 + 50 * MINUTE))
    assert (lasting.statistics.received_ratio, lasting.statistics.covered_ratio) == (1.0, 1.0)
    nowhere = await rig.averages.get(GetRoomAverage(building="b1", room="r9", at=T0 + 50 * MINUTE))
    assert (nowhere.statistics.known, nowhere.silent) == (False, 0)


async def test_the_series_of_a_scope_are_found_up_to_a_limit(rig: Rig) -> None:
    level = series("b", sensor_type="level", kind=Kind.LEVEL, unit="%")
    known = [series("a"), series("a", "d2"), series("b"), level]
    await rig.feed(known, [(number, T0 + number * SECOND, 290.0) for number in range(len(known))])

    async def found(scope: Scope, limit: int = 10) -> list[tuple[str, str]]:
        async with rig.history.snapshot() as snapshot:
            return sorted((info.room, info.device) for info in await snapshot.in_scope(scope, limit))

    assert await found(Scope("temperature")) == [("a", "d1"), ("a", "d2"), ("b", "d1")]
    assert len(await found(Scope("temperature"), 2)) == 2
    assert await found(Scope("temperature", "b1", "a")) == [("a", "d1"), ("a", "d2")]
    assert await found(Scope("temperature", device="d2")) == [("a", "d2")]
    assert await found(Scope("temperature", "b2")) == []
    assert await found(Scope("level", kind=Kind.LEVEL)) == [("b", "d1")]
    assert await found(Scope("temperature", kind=Kind.LEVEL)) == []


async def test_no_data_is_none_of_a_building(rig: Rig) -> None:
    await rig.feed([series("r1")], steady(0, 290.0))
    nothing = await rig.averages.building(AverageQuery(building="b9", at=T0 + HOUR))
    assert (nothing.rooms, nothing.rolled.rooms, nothing.rolled.statistics.known) == (0, 0, False)
    silent = await rig.averages.building(AverageQuery(building="b1", at=T0 + 5 * HOUR))
    assert (silent.rooms, silent.rolled.rooms, silent.rolled.statistics.known) == (1, 0, False)
    assert silent.rolled.statistics.mean is None
    assert (silent.rolled.unit, silent.rolled.provisional) == ("", False)
    # A span that is not over may still get readings.
    running = await rig.averages.building(AverageQuery(building="b1", at=T0 + DAY + MINUTE))
    assert (running.rolled.statistics.known, running.rolled.provisional) == (False, True)
    room = await rig.averages.get(GetRoomAverage(building="b1", room="r9", at=T0 + DAY + MINUTE))
    assert (room.statistics.known, room.provisional) == (False, True)


async def test_consumption_of_a_building_is_the_sum(rig: Rig) -> None:
    known = [series(f"r{place}", sensor_type="energy", kind=Kind.COUNTER, unit="Wh") for place in range(3)]
    arrivals = [
        (place, T0 + tick * 5 * SECOND, 1000.0 * place + tick * (place + 1))
        for place in range(3)
        for tick in range(720)
    ]
    await rig.feed(known, arrivals)
    found = await rig.averages.building(
        AverageQuery(building="b1", sensor_type="energy", window=15 * MINUTE, at=T0 + 30 * MINUTE)
    )
    assert found.rolled.statistics.consumption == pytest.approx(180 * (1 + 2 + 3))
    parts = await rig.pages(10, sensor_type="energy", window=15 * MINUTE, at=T0 + 30 * MINUTE)
    assert [part.statistics.consumption for part in parts] == [pytest.approx(180.0 * place) for place in (1, 2, 3)]


async def test_another_unit_never_mixes_in(rig: Rig) -> None:
    """Two devices still count in the unit that the sensor type had before."""
    known = [series("r1"), series("r1", "old", unit="F"), series("r2", "old", unit="F"), series("r3")]
    arrivals = [*steady(0, 290.0), *steady(3, 292.0)]
    arrivals += [*steady(1, 70.0, end=T0 + 40 * MINUTE), *steady(2, 72.0, end=T0 + 40 * MINUTE)]
    await rig.feed(known, arrivals)
    at = T0 + 45 * MINUTE
    whole = await rig.averages.building(AverageQuery(building="b1", at=at))
    assert (whole.rolled.unit, whole.rolled.statistics.series, whole.rolled.statistics.mean) == ("K", 2, 291.0)
    assert (whole.rooms, whole.rolled.rooms) == (3, 2)
    rooms = await rig.pages(10, at=at)
    assert [(room.room, room.unit, room.statistics.mean) for room in rooms] == [
        ("r1", "K", 290.0),
        ("r2", "F", 72.0),
        ("r3", "K", 292.0),
    ]


async def test_rooms_come_in_pages_whatever_their_number_of_devices(rig: Rig) -> None:
    names = ["A", "Z", "_", "a", "a-b", "a_b", "b", "room-1", "room-10", "room-2", "z"]
    known = [series(name, f"d{device}") for name in names for device in range(4 if name == "a" else 1)]
    await rig.feed(known, [one for place in range(len(known)) for one in steady(place, float(place), end=T0 + MINUTE)])
    at = T0 + 10 * MINUTE
    whole = await rig.pages(1000, at=at)
    assert [room.room for room in whole] == sorted(names)
    assert [room.statistics.series for room in whole] == [4 if name == "a" else 1 for name in sorted(names)]
    for size in (1, 2, 3, 11):
        assert await rig.pages(size, at=at) == whole
    first = await rig.averages.rooms(ListRoomAverages(building="b1", page_size=2, at=at))
    for other in (
        ListRoomAverages(building="b2", page_size=2, at=at, page_token=first.next_token),
        ListRoomAverages(building="b1", page_size=2, page_token=first.next_token),
        ListRoomAverages(building="b1", page_size=2, at=at, page_token="hello"),
    ):
        with pytest.raises(PageTokenInvalid):
            await rig.averages.rooms(other)


async def test_further_pages_are_of_the_span_of_the_first(rig: Rig) -> None:
    known = [series("r1"), series("r2")]
    await rig.feed(known, [*steady(0, 1.0), *steady(1, 2.0)])
    times = iter([T0 + HOUR, T0 + 2 * HOUR])
    rig.averages = Averages(rig.averages._history, RULES, lambda: next(times))  # pyright: ignore[reportPrivateUsage]
    rooms = await rig.pages(1)
    assert [(room.end, room.statistics.count > 0) for room in rooms] == [(T0 + HOUR + 5 * SECOND, True)] * 2


async def test_a_building_of_many_series_is_read_in_parts(rig: Rig) -> None:
    known = [series(f"r{place // 2:04}", f"d{place % 2}") for place in range(650)]
    await rig.feed(known, [(place, T0 + tick * 5 * SECOND, float(place)) for tick in range(3) for place in range(650)])
    found = await rig.averages.building(AverageQuery(building="b1", window=15 * SECOND, at=T0 + 15 * SECOND))
    assert (found.rooms, found.rolled.rooms, found.rolled.statistics.series) == (325, 325, 650)
    assert found.rolled.statistics.mean == pytest.approx(649 / 2)
    rooms = await rig.pages(100, window=15 * SECOND, at=T0 + 15 * SECOND)
    assert [room.room for room in rooms] == [f"r{place:04}" for place in range(325)]


def in_order(parts: Folded) -> tuple[bytes, bytes, bytes]:
    """All of it, bit for bit."""
    ordered = parts.take(np.lexsort((parts.rows["first_time"], parts.series)))
    return ordered.series.tobytes(), ordered.start.tobytes(), ordered.rows.tobytes()


ROOMS = [RoomKey("b1", f"r{place}", "temperature") for place in range(1, 6)]
LEVEL = len(RULES.steps) - 1


async def test_a_glance_shows_what_a_snapshot_shows_however_things_have_gone_on(rig: Rig) -> None:
    """Frontiers move, a device joins, readings come late, a room is new: all that was not so at the glance before."""
    known = [series("r1"), series("r1", "d2"), series("r2"), series("r3")]
    batches = [
        steady(0, 290.0, end=T0 + 20 * MINUTE),
        steady(0, 291.0, start=T0 + 20 * MINUTE, end=T0 + 21 * MINUTE),
        [(0, T0 + 21 * MINUTE + SECOND, 5.0)],
        [*steady(1, 300.0, start=T0 + 10 * MINUTE, end=T0 + 22 * MINUTE), *steady(2, 1e-3, end=T0 + 30 * MINUTE)],
        [(0, T0 + 12 * MINUTE + SECOND, 0.1), (1, T0 + 18 * MINUTE + SECOND, 0.2)],
        steady(3, 7.0, end=T0 + HOUR),
        steady(0, 292.0, start=T0 + 30 * MINUTE, end=T0 + 2 * HOUR),
    ]
    infos: Sequence[SeriesInfo] = ()
    for batch in batches:
        await rig.feed(known, batch)
        for start, end in ((T0 + 5 * SECOND, T0 + 19 * MINUTE), (T0 + 9 * MINUTE, T0 + 24 * MINUTE), (T0, T0 + HOUR)):
            seen = await rig.history.room_snapshot(ROOMS, start, end, LEVEL, 4)
            assert seen is not None
            async with rig.history.snapshot() as snapshot:
                infos = await snapshot.rooms(ROOMS)
                pieces = await snapshot.pieces(infos, start, end, LEVEL)
            assert list(seen.infos) == list(infos)
            assert in_order(seen.pieces) == in_order(pieces)
    assert len(infos) == 4


async def test_a_glance_is_of_few_series(rig: Rig) -> None:
    await rig.feed([series("r1"), series("r1", "d2")], [*steady(0, 1.0), *steady(1, 3.0)])
    for _ in range(2):
        assert await rig.history.room_snapshot(ROOMS, T0, T0 + HOUR, LEVEL, 1) is None
        assert await rig.history.room_snapshot(ROOMS, T0, T0 + HOUR, LEVEL, 2) is not None


async def test_rooms_of_meters_and_others_are_answered_together(rig: Rig) -> None:
    known = [series("r1"), series("r2", sensor_type="energy", kind=Kind.COUNTER, unit="Wh")]
    await rig.feed(known, [*steady(0, 290.0), *((1, T0 + tick * 5 * SECOND, 2.0 * tick) for tick in range(720))])
    for _ in range(2):
        room, meter = await asyncio.gather(
            rig.averages.get(GetRoomAverage(building="b1", room="r1", at=T0 + 30 * MINUTE)),
            rig.averages.get(GetRoomAverage(building="b1", room="r2", sensor_type="energy", at=T0 + 30 * MINUTE)),
        )
        assert (room.statistics.mean, meter.statistics.consumption) == (290.0, pytest.approx(2.0 * 180))


async def test_what_is_remembered_of_rooms_has_a_bound(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_snapshot, "_REMEMBERED", 5)
    async with postgres_rig(databases) as rig:
        known = [series(f"r{place}") for place in range(1, 6)]
        await rig.feed(known, [one for place in range(5) for one in steady(place, float(place))])
        for _ in range(2):
            # One by one; then more at once than are remembered.
            for rooms in (*([room] for room in ROOMS), ROOMS):
                seen = await rig.history.room_snapshot(rooms, T0, T0 + HOUR, LEVEL, 9)
                assert seen is not None
                assert [info.room for info in seen.infos] == [room.room for room in rooms]


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("window", AverageQuery(building="b1", window=7 * SECOND)),
        ("window", AverageQuery(building="b1", window=32 * DAY)),
        ("at", AverageQuery(building="b1", at=T0 + 3 * DAY)),
        ("at", AverageQuery(building="b1", at=0)),
    ],
)
async def test_a_refusal_names_the_field(rig: Rig, field: str, query: AverageQuery) -> None:
    with pytest.raises(FieldInvalid) as refused:
        await rig.averages.building(query)
    assert [violation.field for violation in refused.value.violations] == [field]
