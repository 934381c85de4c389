"""Lists of windows: the same of the history in memory and the one on PostgreSQL, where segments hold many readings."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from services.aggregation.adapters.grpc.window_pages import WindowPages
from services.aggregation.adapters.memory.history import InMemoryHistory
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import PartitionStore
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.queries.averages import Averages, GetRoomAverage
from services.aggregation.application.queries.history import History, RoomKey, RoomSnapshot, Snapshot
from services.aggregation.application.queries.lists import Lists, RoomRange, WindowItem
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.settings import MIGRATIONS
from services.chassis.paging import PageTokenInvalid
from services.chassis.postgres import Outbox, open_database
from tests.support.aggregation.oracle import Fate
from tests.support.aggregation.partition import T0, Arrival, descriptor, message
from tests.support.eventually import eventually
from tests.support.postgres import Schemas
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb

RULES = Rules(announced=(), lateness=3 * HOUR)
QUARTER = 15 * MINUTE
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


class Rig:
    """A store that can be fed, and lists of what it holds."""

    def __init__(
        self, store: PartitionStore, history: History, lease: Lease, forget: Callable[[], Awaitable[object]]
    ) -> None:
        self.history = history
        self.forget_readings = forget
        self.lists = Lists(history, RULES)
        self.averages = Averages(history, RULES, lambda: T0 + 400 * DAY)
        self._store = store
        self._lease = lease
        self._sequence = 0

    async def feed(self, batches: Sequence[Sequence[Arrival]], kind: Kind, interval: int) -> None:
        """Each batch is committed by itself."""
        processor = Processor(
            self._store, self._lease, RULES, lambda raw: descriptor(int(raw), kind, interval), lambda: 0.0
        )
        await processor.load()
        for batch in batches:
            self._sequence += 1
            await processor.process([message(self._sequence, batch)], [])

    async def windows(self, step: int, size: int, *, oldest_first: bool = True) -> list[WindowItem]:
        """All pages."""
        found, token = list[WindowItem](), ""
        while True:
            query = RoomRange("b1", "r1", "temperature", page_size=size, page_token=token, oldest_first=oldest_first)
            page = await self.lists.windows(query, step)
            found += page.items
            token = page.next_token
            if not token:
                return found


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        store = InMemoryPartitionStore(RULES)

        async def clear() -> None:
            store.counted.clear()

        yield Rig(store, InMemoryHistory(store), Lease(0, "me", 1), clear)
        return
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
            describe=lambda raw: descriptor(int(raw)),
        )
        await stored.table_partitions.ensure_steps(RULES.steps)
        leases = PostgresLeaseStore(database, partitions=1, ttl=timedelta(minutes=1))
        await leases.prepare()
        (lease,) = await leases.acquire("me", 1)

        async def truncate() -> None:
            async with database.connection() as connection:
                await connection.execute("TRUNCATE segments")

        yield Rig(stored, PostgresHistory(database, RULES), lease, truncate)


def rare(chance: Random, series: int, interval: int) -> tuple[list[list[Arrival]], list[set[int]]]:
    """Batches of rare meters, some readings late and some too late, and the times of those that count, by series."""
    arrivals = list[tuple[int, Arrival]]()
    for number in range(series):
        at = T0 + chance.randrange(HOUR)
        for place in range(25):
            at += chance.choice([interval // 4, interval, interval, 3 * interval, 3 * interval + 1, 9 * interval])
            delay = chance.choice([0, 0, 0, 2 * interval, 40 * interval])
            arrivals.append((at + delay, (number, at, 10.0 * place)))
    arrivals.sort()
    fates = [Fate(RULES.lateness) for _ in range(series)]
    for _, (number, at, value) in arrivals:
        fates[number].arrive(at, value)
    return [[arrival] for _, arrival in arrivals], [set(fate.counted) for fate in fates]


def stretches(times: set[int], max_gap: int) -> list[tuple[int, int]]:
    """Where something is known of a series: [first, last]."""
    found = [(time, time) for time in times]
    found += [(before, after) for before, after in pairwise(sorted(times)) if after - before <= max_gap]
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_where_something_is_known_next(rig: Rig, seed: int) -> None:
    chance = Random(seed)
    interval = chance.choice([2 * MINUTE, 9 * MINUTE])
    batches, counted = rare(chance, 3, interval)
    await rig.feed(batches, Kind.GAUGE, interval)
    known = [one for times in counted for one in stretches(times, 3 * interval)]
    first, last = min(known)[0], max(end for _, end in known)
    async with rig.history.snapshot() as snapshot:
        infos = await snapshot.series("b1", "r1", "temperature", "")
        assert [info.max_gap for info in infos] == [3 * interval] * 3
        for bound in range(first - first % QUARTER - HOUR, last + 2 * HOUR, QUARTER):
            later = [max(start, bound) for start, end in known if end >= bound]
            found = await snapshot.next_known(infos, bound, after=True)
            assert (None if found is None else found // QUARTER) == (min(later) // QUARTER if later else None)
            earlier = [min(end, bound - 1) for start, end in known if start < bound]
            found = await snapshot.next_known(infos, bound, after=False)
            assert (None if found is None else found // QUARTER) == (max(earlier) // QUARTER if earlier else None)
        assert await snapshot.next_known([], T0, after=True) is None


async def test_the_next_reading_may_be_far(rig: Rig) -> None:
    await rig.feed([[(0, T0, 1.0)], [(0, T0 + 40 * DAY, 1.0)], [(1, T0 + 50 * DAY, 1.0)]], Kind.LEVEL, MINUTE)
    async with rig.history.snapshot() as snapshot:
        infos = await snapshot.series("b1", "r1", "temperature", "")
        for bound in (T0 + QUARTER, T0 + 20 * DAY, T0 + 40 * DAY):
            assert await snapshot.next_known(infos, bound, after=True) == T0 + 40 * DAY
            assert await snapshot.next_known(infos, bound, after=False) == T0
            assert await snapshot.next_known(infos[1:], bound, after=True) == T0 + 50 * DAY
            assert await snapshot.next_known(infos[1:], bound, after=False) is None
        assert await snapshot.next_known(infos, 2**62, after=False) == T0 + 50 * DAY
        assert await snapshot.next_known(infos, 2**62, after=True) is None
        assert await snapshot.next_known(infos, 0, after=True) == T0
    assert [item.start for item in await rig.windows(MINUTE, 1)] == [T0, T0 + 40 * DAY, T0 + 50 * DAY]


@pytest.mark.parametrize("seed", range(3))
async def test_the_newest_readings_that_count(rig: Rig, seed: int) -> None:
    chance = Random(seed)
    batches, counted = rare(chance, 3, 100 * SECOND)
    for first in range(0, len(batches), 4):  # so that segments of one quarter of an hour overlap
        await rig.feed([[one for batch in batches[first : first + 4] for one in batch]], Kind.GAUGE, 100 * SECOND)
    newest = {place: max(times) for place, times in enumerate(counted)}
    async with rig.history.snapshot() as snapshot:
        infos = await snapshot.series("b1", "r1", "temperature", "")
        for since in (T0, *newest.values(), *(time + 1 for time in newest.values())):
            expected = {place: time for place, time in newest.items() if time >= since}
            assert await snapshot.newest(infos, since) == expected
        assert await snapshot.newest(infos[1:2], T0) == {0: newest[1]}
        assert await snapshot.newest([], T0) == {}


async def test_windows_are_closed_wherever_the_page_ends(rig: Rig) -> None:
    """By a reading that is known to no window of the page."""
    arrivals = [9.1, 11.2, 25.2, 39.2, 62.3, 41.3]
    await rig.feed([[(0, T0 + round(at * SECOND), 0.0)] for at in arrivals], Kind.COUNTER, 0)
    found = await rig.windows(BASE, 100)
    assert [(item.start - T0) // SECOND for item in found] == [5, 10, 25, 35, 40, 60]
    assert [item.provisional for item in found] == [False] * 5 + [True]
    for size in (1, 2, 5):
        assert await rig.windows(BASE, size, oldest_first=False) == found[::-1]


@pytest.mark.parametrize("seed", range(3))
async def test_every_known_window_is_listed_as_its_average_says(rig: Rig, seed: int) -> None:
    chance = Random(seed)
    interval = [150 * SECOND, 20 * MINUTE, 4 * MINUTE][seed]
    batches, counted = rare(chance, 1, interval)
    await rig.feed(batches, Kind.COUNTER, interval)
    for step in (BASE, *RULES.steps):
        if step < MINUTE <= interval // 20:
            continue
        starts = {at - at % step for at in counted[0]}
        for before, after in stretches(counted[0], 3 * interval):
            starts.update(range(before - before % step, after, step))
        found = await rig.windows(step, 1000)
        assert [item.start for item in found] == sorted(starts)
        assert await rig.windows(step, 77) == found
        assert await rig.windows(step, 77, oldest_first=False) == found[::-1]
        for item in chance.sample(found, min(len(found), 12)):
            end = item.start + step
            query = GetRoomAverage(building="b1", room="r1", sensor_type="temperature", window=step, at=end)
            same = (await rig.averages.get(query)).statistics
            mine = item.statistics
            assert (mine.count, mine.covered, mine.longest_gap) == (same.count, same.covered, same.longest_gap)
            assert mine.consumption == pytest.approx(same.consumption, abs=1e-6)
            assert mine.time_weighted_mean == pytest.approx(same.time_weighted_mean)
            assert (item.revision > 0) == (mine.count > 0)
        used = sum(item.statistics.consumption or 0.0 for item in found)
        start, end = min(starts) - min(starts) % DAY, max(starts) - max(starts) % DAY + DAY
        whole = GetRoomAverage(building="b1", room="r1", sensor_type="temperature", window=end - start, at=end)
        assert used == pytest.approx((await rig.averages.get(whole)).statistics.consumption)


async def test_windows_outlive_their_readings(rig: Rig) -> None:
    interval = 40 * MINUTE
    await rig.feed([[(0, T0 + at * interval, float(at + 1))] for at in range(100)], Kind.COUNTER, interval)
    before = [item.start for item in await rig.windows(QUARTER, 1000) if item.statistics.count]
    await rig.forget_readings()
    for oldest_first in (True, False):
        found = [item for item in await rig.windows(QUARTER, 30, oldest_first=oldest_first) if item.statistics.count]
        # The newest two are read from readings: one had not closed, and one would open again.
        assert [item.start for item in found] == (before[:-2] if oldest_first else before[-3::-1])
        assert {item.revision for item in found} == {1}


class Gated:
    """A history of which the snapshots that are open wait at the gate, once they have looked."""

    def __init__(self, history: History) -> None:
        self.gate = asyncio.Event()
        self.opened = 0
        self._history = history

    async def room_snapshot(
        self, rooms: Sequence[RoomKey], start: int, end: int, level: int, most: int
    ) -> RoomSnapshot | None:
        return await self._history.room_snapshot(rooms, start, end, level, most)

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        async with self._history.snapshot() as snapshot:
            await snapshot.series("b1", "r1", "temperature", "")  # what is committed from now on, it does not show
            self.opened += 1
            await self.gate.wait()
            yield snapshot


def asked(**more: Any) -> pb.ListWindowsRequest:
    request = pb.ListWindowsRequest(building="b1", room="r1", page_size=5, **more)
    request.step.FromMicroseconds(MINUTE)
    return request


async def test_a_page_is_shared_by_those_who_have_asked_before_it_began(rig: Rig) -> None:
    await rig.feed([[(0, T0 + at * 5 * SECOND, float(at)) for at in range(400)]], Kind.GAUGE, 5 * SECOND)
    expected = await WindowPages(rig.lists).get(asked())
    second = await WindowPages(rig.lists).get(asked(page_token=expected.next_page_token))
    assert (len(expected.windows), len(second.windows)) == (5, 5)
    gated = Gated(rig.history)
    pages = WindowPages(Lists(gated, RULES))
    early = [asyncio.create_task(pages.get(asked())) for _ in range(3)]
    await eventually(lambda: gated.opened == 2, what="two pages are read")
    await rig.feed([[(0, T0 + 410 * 5 * SECOND, 7.0)]], Kind.GAUGE, 5 * SECOND)
    late = [asyncio.create_task(pages.get(asked())) for _ in range(4)]
    other = asyncio.create_task(pages.get(asked(page_token=expected.next_page_token)))
    await asyncio.sleep(0)
    early[1].cancel()
    late[0].cancel()
    gated.gate.set()
    answers = await asyncio.gather(*early, *late, other, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert isinstance(answers[3], asyncio.CancelledError)
    newest = await WindowPages(rig.lists).get(asked())
    assert newest != expected
    # Nobody who has asked after the commit is answered from what was read before it.
    assert [answer == newest for answer in answers[4:7]] == [True] * 3
    assert answers[0] in (expected, newest)
    assert answers[7] == second
    assert gated.opened == 4, "the first two, one for all who waited, and the other page"


async def test_what_is_wrong_with_a_page_is_told_to_those_who_asked_for_it(rig: Rig) -> None:
    await rig.feed([[(0, T0, 1.0)]], Kind.GAUGE, 5 * SECOND)
    pages = WindowPages(rig.lists)
    questions = [asked(page_token="bad"), asked(), asked(page_token="bad")]
    answers = await asyncio.gather(*(pages.get(one) for one in questions), return_exceptions=True)
    assert [isinstance(answer, PageTokenInvalid) for answer in answers] == [True, False, True]
    assert isinstance(answers[1], pb.ListWindowsResponse)
    assert len(answers[1].windows) == 1
