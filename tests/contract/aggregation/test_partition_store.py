"""`PartitionStore`: the same suite on the one in memory and the one on PostgreSQL."""

import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres.alarm_store import PostgresAlarmStore
from services.aggregation.adapters.postgres.history import read_pieces
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.adapters.postgres.sensor_types import PostgresSensorTypes
from services.aggregation.adapters.postgres.stored_columns import stored_windows
from services.aggregation.application.alarms.ports import AlarmFilter, SensorTypes
from services.aggregation.application.partition.announcements import Announcement
from services.aggregation.application.partition.lease_store import Lease, LeaseLost
from services.aggregation.application.partition.loss_reports import LossReports
from services.aggregation.application.partition.partition_store import PartitionStore
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.alarms.alarm import Alarm, State
from services.aggregation.domain.alarms.rule import Audience, Severity
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.partition.continuity import Bookmark, Cause, Lost, Position
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor, Kind, SeriesInfo, SeriesKey
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_cover import SpanQuery
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.settings import MIGRATIONS
from services.chassis.postgres import Database, Outbox, open_database
from tests.support.aggregation.partition import T0, Arrival, descriptor, message
from tests.support.aggregation.reference import first_wins, window
from tests.support.postgres import Schemas

RULES = Rules(lateness=HOUR, announce_fine_within=40000 * DAY)
SERIES = [descriptor(0), descriptor(1, Kind.LEVEL), descriptor(2, Kind.COUNTER)]
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


def describe(raw: bytes) -> Descriptor:
    return SERIES[int(raw)]


class Rig:
    """A store, and a way to look into it."""

    def __init__(self, store: PartitionStore, lease: Lease, database: Database | None) -> None:
        self.store = store
        self.lease = lease
        self.database = database
        self.now = 0.0

    async def open(self, losses: LossReports | None = None) -> Processor:
        processor = Processor(self.store, self.lease, RULES, describe, lambda: self.now, losses=losses)
        await processor.load()
        return processor

    async def alarms(self) -> Sequence[Alarm]:
        """All alarms, newest first."""
        if isinstance(self.store, InMemoryPartitionStore):
            return await self.store.alarms.list_alarms(AlarmFilter(), None, 100)
        assert self.database is not None
        return await PostgresAlarmStore(self.database).list_alarms(AlarmFilter(), None, 100)

    async def windows(self) -> dict[tuple[int, int, int], tuple[int, tuple[float, ...]]]:
        """(series, step, start) -> revision and content."""
        if isinstance(self.store, InMemoryPartitionStore):
            return {key: (revision, tuple(row.item())) for key, (revision, row) in self.store.windows.items()}
        assert self.database is not None
        async with self.database.connection() as connection:
            asked = [(number, step, 0, 2**62) for number in range(1, 4) for step in RULES.steps]
            found, revisions = await stored_windows(connection, asked)
        return {
            (asked[place][0], asked[place][1], start): (revision, tuple(row.item()))
            for place, start, revision, row in zip(
                found.series.tolist(), found.start.tolist(), revisions.tolist(), found.rows, strict=True
            )
        }


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        yield Rig(InMemoryPartitionStore(RULES), Lease(0, "me", 1), None)
        return
    async with (
        databases({"aggregation": MIGRATIONS}) as dsn,
        open_database(dsn, schema="aggregation", application_name="tests") as database,
    ):
        store = PostgresPartitionStore(
            database,
            RULES,
            Outbox(source="tocsin/tests"),
            bundle=WindowEncoder().bundle,
            bundle_one_by_one=closed_bundle,
            describe=describe,
        )
        await store.table_partitions.ensure_steps(RULES.steps)
        leases = PostgresLeaseStore(database, partitions=1, ttl=timedelta(minutes=1))
        await leases.prepare()
        (lease,) = await leases.acquire("me", 1)
        yield Rig(store, lease, database)


def arrivals(seed: int, count: int) -> list[Arrival]:
    """Mostly in order; some late, some repeated, a few much too late."""
    chance = random.Random(seed)
    found: list[Arrival] = []
    total = 0.0
    for place in range(count):
        number = place % 3
        at = T0 + 2 * HOUR + place // 3 * 5 * SECOND
        total += chance.random()
        if chance.random() < 0.1:
            at -= chance.randrange(1, 30 * MINUTE)
        elif chance.random() < 0.02:
            at -= 2 * HOUR - chance.randrange(0, MINUTE)
        elif found and chance.random() < 0.1:
            at = chance.choice(found)[1]
        found.append((number, at, total if number == 2 else chance.uniform(0, 100)))
    return found


async def test_both_stores_end_with_the_same_windows(rig: Rig) -> None:
    mirror = Rig(InMemoryPartitionStore(RULES), Lease(0, "me", 1), None)
    sent = arrivals(3, 1500)
    for both in (rig, mirror):
        processor = await both.open()
        for place in range(0, len(sent), 100):
            await processor.process([message(place + 1, sent[place : place + 100])], [])
            if place == 700:
                processor = await both.open()
        both.now += 1e6
        await processor.close_quiet()
    found, expected = await rig.windows(), await mirror.windows()
    assert found.keys() == expected.keys()
    for key, (revision, row) in expected.items():
        assert found[key][0] == revision, key
        assert found[key][1] == pytest.approx(row), key


async def test_both_stores_announce_the_same(rig: Rig) -> None:
    mirror = InMemoryPartitionStore(RULES)
    told: list[Announcement] = []
    if isinstance(rig.store, PostgresPartitionStore):
        rig.store._bundle = lambda many: told.extend(many.one_by_one()) or WindowEncoder().bundle(many)  # pyright: ignore
        rig.store._bundle_one_by_one = lambda ones: told.extend(ones) or closed_bundle(ones)  # pyright: ignore
    sent = arrivals(9, 900)
    for both in (rig, Rig(mirror, Lease(0, "me", 1), None)):
        processor = await both.open()
        for place in range(0, len(sent), 60):
            await processor.process([message(place + 1, sent[place : place + 60])], [])
    found = told if isinstance(rig.store, PostgresPartitionStore) else rig.store.announced  # pyright: ignore
    assert [(one.series_id, one.step, one.start, one.revision) for one in found] == [
        (one.series_id, one.step, one.start, one.revision) for one in mirror.announced
    ]
    assert any(one.revision > 1 for one in found)
    for one, expected in zip(found, mirror.announced, strict=True):
        assert one.statistics.integral == pytest.approx(expected.statistics.integral)
        assert one.statistics.count == expected.statistics.count
        assert one.statistics.covered == expected.statistics.covered


async def test_windows_of_gauges_are_those_of_the_reference(rig: Rig) -> None:
    sent = [arrival for arrival in arrivals(5, 900) if arrival[0] < 2 and arrival[1] > T0 + HOUR]
    processor = await rig.open()
    for place in range(0, len(sent), 50):
        await processor.process([message(place + 1, sent[place : place + 50])], [])
    rig.now += 1e6
    await processor.close_quiet()
    found = await rig.windows()
    ids = {1: 0, 2: 1}
    for number, place in ids.items():
        kept = first_wins([(at, value) for owner, at, value in sent if owner == place])
        for step in RULES.steps:
            for start in {at - at % step for at in kept}:
                expected = window(kept, int(SERIES[place].kind), 15 * SECOND, start, start + step)
                assert expected is not None
                row = found[number, step, start][1]
                assert row[0] == expected.count
                assert row[2:4] == (float(expected.least), float(expected.most))


async def test_a_lower_epoch_commits_nothing(rig: Rig) -> None:
    processor = await rig.open()
    await processor.process([message(1, [(0, T0, 1.0)])], [])
    if isinstance(rig.store, InMemoryPartitionStore):
        rig.store.epochs[0] = rig.lease.epoch + 1
    else:
        assert rig.database is not None
        async with rig.database.connection() as connection:
            await connection.execute("UPDATE partitions SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await processor.process([message(2, [(0, T0 + SECOND, 2.0)])], [])
    with pytest.raises(LeaseLost):
        await rig.store.bookmark(rig.lease)
    _, times, values = (await rig.store.load(0)).unsettled
    assert (times.tolist(), values.tolist()) == ([T0], [1.0])


async def test_the_position_moves_with_the_readings(rig: Rig) -> None:
    assert await rig.store.bookmark(rig.lease) == Bookmark()
    processor = await rig.open()
    await processor.move(Bookmark("stream made at ten"), [])
    assert await rig.store.bookmark(rig.lease) == Bookmark("stream made at ten")
    there = Bookmark("stream made at ten", Position(9, 1.760000000123456e9), 4, 1.75e9, {"b": 7, "a": 9})
    await processor.process([message(7, [(0, T0, 1.0)]), message(9, [(1, T0, 1.0)])], [], there)
    found = await rig.store.bookmark(rig.lease)
    assert found == there
    # What is forgotten first stands first.
    assert list(found.publishers) == ["b", "a"]
    await processor.process([message(10, [(0, T0 + SECOND, 1.0)])], [])
    assert await rig.store.bookmark(rig.lease) == there
    # A stream that was made anew, or came back shorter, counts from where it is.
    back = there._replace(position=Position(3, 1.770000000123456e9))
    await processor.process([message(3, [(1, T0 + SECOND, 1.0)])], [], back)
    assert await rig.store.bookmark(rig.lease) == back


async def test_a_position_that_an_earlier_version_has_moved_holds_by_its_number(rig: Rig) -> None:
    if rig.database is None:
        return  # nothing in memory is older than we are
    processor = await rig.open()
    await processor.move(Bookmark("s", Position(9, 1.0), 4, 1.0, {"a": 9}), [])
    async with rig.database.connection() as connection:
        await connection.execute("UPDATE partitions SET position = 12")
    moved = Bookmark("s", Position(12, math.inf), 12)
    assert await rig.store.bookmark(rig.lease) == moved
    await processor.move(moved, [])
    assert await rig.store.bookmark(rig.lease) == moved


async def test_what_the_broker_lost_is_an_alarm_that_stays_until_it_is_acknowledged(rig: Rig) -> None:
    processor = await rig.open(LossReports(Audience("test", ("ann", "bob"), "")))
    await processor.move(Bookmark("s"), [Lost(Cause.STREAM_CUT, 2681, None)])
    gaps = [Lost(Cause.GAP, 12, 17), Lost(Cause.GAP, 20, 20)]
    await processor.process([message(21, [(0, T0, 1.0)])], [], None, gaps)
    await rig.open()
    alarms = sorted(await rig.alarms(), key=lambda alarm: alarm.start)
    assert [(alarm.kind, alarm.rule, alarm.severity, alarm.state) for alarm in alarms] == [
        ("READINGS_LOST", "readings-lost", Severity.WARNING, State.RAISED),
        ("READINGS_LOST", "readings-lost", Severity.CRITICAL, State.RAISED),
        ("READINGS_LOST", "readings-lost", Severity.CRITICAL, State.RAISED),
    ]
    assert alarms[0].message == (
        "the stream of readings came back shorter: readings that were acknowledged after message 2680 of partition 0 "
        "and not processed, if there were any, are lost"
    )
    assert {alarm.message.rpartition(": ")[2] for alarm in alarms[1:]} == {
        "messages 12 to 17 of partition 0",
        "messages 20 to 20 of partition 0",
    }


async def test_counters_read_over_any_span_sum_up(rig: Rig) -> None:
    processor = await rig.open()
    values = [float(100 + place) for place in range(200)]
    values[50] = 0.0
    values[120:] = [float(place) for place in range(80)]
    sent: list[Arrival] = [(2, T0 + place * 7 * SECOND, value) for place, value in enumerate(values)]
    for place in range(0, 200, 20):
        await processor.process([message(place + 1, sent[place : place + 20])], [])
    rig.now += 1e6
    await processor.close_quiet()
    info = SeriesInfo(1, *SERIES[2].key, int(Kind.COUNTER), "K", 5 * SECOND, 15 * SECOND, await _frontiers(rig))

    async def consumed(start: int, end: int) -> float:
        if isinstance(rig.store, InMemoryPartitionStore):
            parts = rig.store.pieces([info], start, end, 3)
        else:
            assert rig.database is not None
            async with rig.database.connection() as connection:
                parts = await read_pieces(connection, RULES.steps, [SpanQuery(info, start, end, 3)])
        return spans([info], parts, start, end, end - start)[0].statistics.consumption or 0.0

    whole = await consumed(T0, T0 + HOUR)
    # 119 steps up to the reset, then 79 from its first reading on.
    assert whole == pytest.approx(119 + 79)
    for step in (15 * MINUTE, 5 * MINUTE, MINUTE, 5 * SECOND):
        parts = [await consumed(at, at + step) for at in range(T0, T0 + 25 * MINUTE, step)]
        assert sum(parts) == pytest.approx(whole)


async def _frontiers(rig: Rig) -> list[int]:
    if isinstance(rig.store, InMemoryPartitionStore):
        return list(rig.store.states[1].frontiers)
    assert rig.database is not None
    async with rig.database.connection() as connection:
        return await connection.fetchval("SELECT frontiers FROM series_state")


async def test_extreme_but_valid_readings_survive(rig: Rig) -> None:
    processor = await rig.open()
    values = [1e308, -1e308, 5e-324, -0.0, 1e-300]
    sent: list[Arrival] = [(0, T0 + place * SECOND, value) for place, value in enumerate(values)]
    await processor.process([message(1, sent)], [])
    _, times, found = (await rig.store.load(0)).unsettled
    assert found.tolist() == values
    assert np.all(np.diff(times) == SECOND)
    assert isinstance(message(1, sent), Message)


async def test_rules_are_never_taken_back_to_an_older_revision(rig: Rig) -> None:
    first, other = descriptor(7, Kind.COUNTER)._replace(revision=5), descriptor(8)._replace(revision=5, own=True)
    reset = first._replace(counting=CounterRules(Policy.RESET), own=True, interval=MINUTE)

    async def known() -> list[Descriptor]:
        return [stored.descriptor for stored in (await rig.store.load(0)).series]

    async def register(one: Descriptor) -> Descriptor:
        (stored,) = await rig.store.register(0, [one])
        return stored.descriptor

    assert [stored.descriptor for stored in await rig.store.register(0, [other, first])] == [other, first]
    assert await register(reset._replace(revision=4)) == first
    assert await register(reset._replace(revision=0)) == first
    # Whoever says that a device is cautious is believed, however old the rest is.
    warned = first._replace(counting=first.counting._replace(cautious=True))
    assert await register(reset._replace(revision=4, counting=warned.counting)) == warned
    same = reset._replace(revision=5, counting=reset.counting._replace(cautious=True))
    assert await register(reset._replace(revision=5)) == same
    newer = warned._replace(revision=6)
    await rig.store.describe([newer, other._replace(revision=4, interval=1), descriptor(9)])
    assert sorted(await known()) == sorted([newer, other])
    await rig.store.describe([reset._replace(revision=5), other._replace(revision=7, own=False)])
    assert sorted(await known()) == sorted([newer, other._replace(revision=7, own=False)])


async def test_rules_that_change_move_with_the_position(rig: Rig) -> None:
    processor = await rig.open()
    sent: list[Arrival] = [(2, T0 + at * 5 * SECOND, float(at)) for at in range(9)]
    await processor.process([message(1, sent)], [])
    rejecting = CounterRules(Policy.REJECT)
    news = Descriptor(SeriesKey("", "", "temperature", ""), Kind.COUNTER, "K", MINUTE, rejecting, False, 3)
    heard = replace(message(2, []), changed=[news])
    await processor.process([heard], [], Bookmark("s", Position(2)))
    assert (await rig.store.bookmark(rig.lease)).position.sequence == 2
    # As if the acknowledgement had been lost: it comes again to another owner.
    for again in (processor, await rig.open()):
        await again.process([heard], [])
        (stored,) = (await rig.store.load(0)).series
        assert stored.descriptor == SERIES[2]._replace(counting=rejecting, interval=MINUTE, revision=3)
        assert again.engine.states.rows["max_gap"].tolist() == [3 * MINUTE]


async def test_a_place_that_was_left_is_remembered_until_somebody_is_back(rig: Rig) -> None:
    processor = await rig.open()
    await processor.process([message(1, [(0, T0, 1.0), (1, T0, 2.0)])], [])

    async def left() -> dict[str, int | None]:
        return {one.descriptor.key.device: one.left for one in (await rig.store.load(rig.lease.partition)).series}

    ids = {one.descriptor.key.device: one.id for one in (await rig.store.load(rig.lease.partition)).series}
    assert await left() == {"d0": None, "d1": None}
    for _ in range(2):  # it can be said again
        await rig.store.leave([(ids["d0"], T0), (ids["d1"], T0 + 1)], [])
    assert await left() == {"d0": T0, "d1": T0 + 1}
    await rig.store.leave([], [ids["d0"]])
    assert await left() == {"d0": None, "d1": T0 + 1}


async def test_what_is_told_of_sensor_types_never_goes_back(rig: Rig) -> None:
    newer = SensorTypeInfo("t", "K", 0.0, None, 2)
    await rig.store.learn_sensor_types([newer, SensorTypeInfo("u", "%", 0.0, 100.0, 1)])
    await rig.store.learn_sensor_types([SensorTypeInfo("t", "C", None, None, 1)])
    types: SensorTypes
    if isinstance(rig.store, InMemoryPartitionStore):
        types = rig.store
    else:
        assert rig.database is not None
        types = PostgresSensorTypes(rig.database)
    assert await types.sensor_types() == {"t": newer, "u": SensorTypeInfo("u", "%", 0.0, 100.0, 1)}
