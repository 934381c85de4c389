"""Amendments of readings: asked for over the queue of PostgreSQL or in memory, the two stores end alike, whatever the
owner was doing."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from services.aggregation.adapters.memory.amendments import StoredAmendment
from services.aggregation.adapters.memory.correction_log import InMemoryCorrectionLog
from services.aggregation.adapters.memory.history import InMemoryHistory
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres.amendments import PostgresAmendmentQueue
from services.aggregation.adapters.postgres.correction_decisions import PostgresDecisionQueue
from services.aggregation.adapters.postgres.correction_log import PostgresCorrectionLog
from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.adapters.postgres.reading_conflict_log import PostgresReadingConflictLog
from services.aggregation.adapters.postgres.stored_columns import stored_windows
from services.aggregation.application.partition.amendment_request import AmendReading
from services.aggregation.application.partition.decision_request import DecideCorrection
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import PartitionStore, Recomputation, Totals
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.queries.corrections import CorrectionFilter, Corrections
from services.aggregation.application.queries.history import History
from services.aggregation.application.queries.lists import Lists, RoomRange
from services.aggregation.application.queries.reading_conflicts import ReadingConflicts
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.errors import CorrectionNotFound
from services.aggregation.domain.late.amendments import AmendmentKind, AmendmentOutcome, AskedAmendment
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.settings import MIGRATIONS
from services.chassis.postgres import Database, Outbox, open_database
from tests.support.aggregation.partition import T0, Arrival, at_once, descriptor, message
from tests.support.postgres import Schemas

RULES = Rules(lateness=HOUR, announce_fine_within=40000 * DAY)
SERIES = [
    descriptor(0),
    descriptor(1, Kind.LEVEL),
    descriptor(2, Kind.COUNTER),
    descriptor(3)._replace(last_wins=True, revision=1),
]
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]
Found = dict[tuple[int, int, int], tuple[int, tuple[float, ...]]]


def describe(raw: bytes) -> Descriptor:
    return SERIES[int(raw)]


@dataclass
class Rig:
    store: PartitionStore
    history: History
    lease: Lease
    database: Database | None = None
    now: float = 0.0

    async def open(self) -> Processor:
        processor = Processor(self.store, self.lease, RULES, describe, lambda: self.now)
        await processor.load()
        return processor

    async def amend(
        self, processor: Processor, number: int, time: int, value: float | None, *, killed: bool = False
    ) -> tuple[Processor, AmendmentOutcome | None]:
        """What it came to; `killed`: after each of its commits the owner is another one."""
        if isinstance(self.store, InMemoryPartitionStore):
            queue, series_id = None, self._id(number)
            entry = len(self.store.amendments) + 1
            self.store.amendments[entry] = StoredAmendment(series_id, time, value, "ann", "wrong")
            asked = [AskedAmendment(entry, time, value, value is not None and self.store.withdraw(series_id, time))]
            job = Recomputation(entry, series_id, None, 2**62, False, Totals(), True, asked)
            self.store.jobs[entry] = (0, job)
        else:
            assert self.database is not None
            queue = PostgresAmendmentQueue(self.database)
            command = AmendReading(*SERIES[number].key, time, value, "ann", "wrong")
            entry = await queue.ask(command) or 0
        while await processor.recompute(at_once):
            if killed:
                processor = await self.open()
        if queue is None:
            return processor, self.store.amendments[entry].outcome  # pyright: ignore
        done = await queue.done(entry)
        assert done is not None
        return processor, done.outcome

    def _id(self, number: int) -> int:
        assert isinstance(self.store, InMemoryPartitionStore)
        return next(at for at, (_, one) in self.store.series.items() if one.key == SERIES[number].key)

    async def conflicts(self) -> list[tuple[str, int, float, float, bool, int]]:
        """(device, event time, value, the one that counts, superseded, how many), newest first."""
        if isinstance(self.store, InMemoryPartitionStore):
            held = self.store.conflicts.items()
            rows = [(self.store.series[id_][1].key.device, time, *one[2:], times) for (id_, time), (times, one) in held]
            return sorted(rows, key=lambda row: (row[1], row[0]), reverse=True)
        assert self.database is not None
        wanted = CorrectionFilter(*SERIES[0].key[:2])
        log = ReadingConflicts(PostgresReadingConflictLog(self.database))
        page = await log.page(wanted, 2, "")
        items = list(page.items)
        while page.next_token:
            page = await log.page(wanted, 2, page.next_token)
            items += page.items
        return [(one.key.device, one.time, one.value, one.counting, one.superseded, one.times) for one in items]

    async def windows(self) -> Found:
        """(series, step, start) -> revision and content."""
        if isinstance(self.store, InMemoryPartitionStore):
            return {key: (revision, tuple(row.item())) for key, (revision, row) in self.store.windows.items()}
        assert self.database is not None
        async with self.database.connection() as connection:
            asked = [(number, step, 0, 2**62) for number in range(1, 5) for step in RULES.steps]
            found, revisions = await stored_windows(connection, asked)
        columns = zip(found.series.tolist(), found.start.tolist(), revisions.tolist(), found.rows, strict=True)
        return {(*asked[at][:2], start): (revision, tuple(row.item())) for at, start, revision, row in columns}


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        store = InMemoryPartitionStore(RULES)
        yield Rig(store, InMemoryHistory(store), Lease(0, "me", 1))
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
            describe=describe,
        )
        await stored.table_partitions.ensure_steps(RULES.steps)
        leases = PostgresLeaseStore(database, partitions=1, ttl=timedelta(minutes=1))
        await leases.prepare()
        (lease,) = await leases.acquire("me", 1)
        yield Rig(stored, PostgresHistory(database, RULES), lease, database)


def course() -> list[Arrival]:
    """Dense ones, lone ones, some that come late and some that come too late."""
    chance, total = random.Random(4), 0.0
    found: list[Arrival] = []
    for place in range(240):
        number, at = place % 3, T0 + 2 * HOUR + place // 3 * 5 * SECOND
        if place > 200:
            at += (place - 200) * 10 * MINUTE
        total += chance.random()
        found.append((number, at, total if number == 2 else float(chance.randrange(9))))
    found += [(0, T0 + 2 * HOUR + 7 * SECOND, 5.0), (1, T0 + MINUTE, 8.0)]
    return found


async def drive(rig: Rig, *, killed: bool) -> tuple[Found, list[AmendmentOutcome | None]]:
    sent = course()
    processor = await rig.open()
    for place in range(0, len(sent), 40):
        await processor.process([message(place + 1, sent[place : place + 40])], [])
    outcomes: list[AmendmentOutcome | None] = []
    last = max(sent[:240], key=lambda one: one[1])
    wanted: list[tuple[int, int, float | None]] = [
        (0, sent[30][1], None),
        (0, sent[30][1], None),
        (1, sent[31][1], 3.0),
        (2, sent[32][1], 0.0),
        (2, sent[62][1], None),
        (1, T0 + MINUTE, None),
        (0, T0 + 2 * HOUR + 7 * SECOND, 6.0),
        (sent[225][0], sent[225][1], None),
        (last[0], last[1], None),
        (0, sent[30][1], 4.0),
        (0, T0 + 2 * HOUR + 8 * SECOND, 6.0),
        (last[0], last[1], 2.0),
    ]
    for number, time, value in wanted:
        processor, outcome = await rig.amend(processor, number, time, value, killed=killed)
        outcomes.append(outcome)
        if outcome != AmendmentOutcome.NOT_FOUND:
            # What was voided or replaced comes again.
            await processor.process([message(1000 + len(outcomes), [(number, time, 1.0)])], [])
    rig.now += 1e6
    await processor.close_quiet()
    return await rig.windows(), outcomes


@pytest.mark.parametrize("killed", [False, True])
async def test_both_stores_end_alike(rig: Rig, killed: bool) -> None:
    store = InMemoryPartitionStore(RULES)
    found, outcomes = await drive(rig, killed=killed)
    expected, same = await drive(Rig(store, InMemoryHistory(store), Lease(0, "me", 1)), killed=False)
    assert outcomes == same
    assert outcomes.count(AmendmentOutcome.APPLIED) == 10
    assert outcomes.count(AmendmentOutcome.UNCHANGED) == 1
    assert outcomes.count(AmendmentOutcome.NOT_FOUND) == 1
    assert found.keys() == expected.keys()
    for key, (revision, row) in expected.items():
        assert found[key][0] >= revision if killed else found[key][0] == revision, key
        assert found[key][1] == pytest.approx(row), key


async def test_lists_show_what_was_made_of_a_reading(rig: Rig) -> None:
    processor = await rig.open()
    sent: list[Arrival] = [(0, T0 + at * 5 * SECOND, float(at)) for at in range(30)]
    await processor.process([message(1, sent)], [])
    lists = Lists(rig.history, RULES)
    query = RoomRange(*SERIES[0].key[:3], page_size=100, oldest_first=True)
    third, fourth, fifth = (time for _, time, _ in sent[3:6])
    for time, value in ((third, None), (fourth, 40.0), (fourth, 41.0), (fifth, None), (fifth, 5.0)):
        processor, outcome = await rig.amend(processor, 0, time, value)
        assert outcome == AmendmentOutcome.APPLIED
    page, _ = await lists.readings(query)
    assert [item.time for item in page.items] == [time for _, time, _ in sent]
    assert [item.value for item in page.items[2:7]] == [2.0, 3.0, 41.0, 5.0, 6.0]
    marks = [item.amendment for item in page.items]
    assert [place for place, mark in enumerate(marks) if mark is not None] == [3, 4, 5]
    shown = [(mark.kind, mark.original, mark.author, mark.reason) for mark in marks if mark is not None]
    assert shown == [
        (AmendmentKind.VOIDED, 3.0, "ann", "wrong"),
        (AmendmentKind.REPLACED, 4.0, "ann", "wrong"),
        (AmendmentKind.REPLACED, 5.0, "ann", "wrong"),
    ]


async def test_a_second_value_is_ignored_or_supersedes_wherever_the_first_one_is(rig: Rig) -> None:
    processor = await rig.open()
    start, fresh = T0 + 5 * HOUR, T0 + 5 * HOUR + 59 * 5 * SECOND
    sent: list[Arrival] = [(number, start + at * 5 * SECOND, float(at)) for at in range(60) for number in (0, 3)]
    # Too late: kept, and counted nowhere.
    late = T0 + MINUTE
    await processor.process([message(1, sent), message(2, [(0, late, 1.0), (3, late, 1.0)])], [])
    settled, edge = start + 50 * SECOND, start + 58 * 5 * SECOND
    again: list[Arrival] = [
        (number, time, value)
        for number in (0, 3)
        for time, value in (
            (settled, 10.0),
            (settled, 70.0),
            (settled, 71.0),
            (edge, 72.0),
            (fresh, 73.0),
            (late, 74.0),
            (fresh + SECOND, 75.0),
            (fresh + SECOND, 76.0),
        )
    ]
    await processor.process([message(3, again)], [])
    assert processor.amending
    while await processor.recompute(at_once):
        processor = await rig.open()
    assert not processor.amending
    times = {settled: (10.0, 71.0, 2), edge: (58.0, 72.0, 1), fresh: (59.0, 73.0, 1), late: (1.0, 74.0, 1)}
    times[fresh + SECOND] = (75.0, 76.0, 1)
    expected: list[tuple[str, int, float, float, bool, int]] = []
    for time, (first, last, count) in times.items():
        expected.append(("d0", time, last, first, False, count))
        expected.append(("d3", time, 70.0 if time == settled else first, last, True, count))
    assert await rig.conflicts() == sorted(expected, key=lambda row: (row[1], row[0]), reverse=True)
    rig.now += 1e6
    await processor.close_quiet()
    lists = Lists(rig.history, RULES)
    page, _ = await lists.readings(RoomRange(*SERIES[0].key[:3], page_size=1000))
    found = {(item.series.device, item.time): item.value for item in page.items}
    for time, (first, last, _) in times.items():
        assert (found["d0", time], found["d3", time]) == (first, last)
    # What a person says holds, whatever comes.
    processor, _ = await rig.amend(processor, 3, settled, 5.0)
    processor, _ = await rig.amend(processor, 3, edge, None)
    await processor.process([message(9, [(3, settled, 80.0), (3, edge, 81.0)])], [])
    assert not processor.amending
    (newest, older) = [row for row in await rig.conflicts() if row[0] == "d3" and row[1] in (settled, edge)]
    assert (newest[2], newest[4]) == (81.0, False)
    assert (older[2:5], older[5]) == ((80.0, 5.0, False), 3)


async def test_what_people_decide_about_a_meter_is_kept_listed_and_followed(rig: Rig) -> None:
    processor = await rig.open()
    values = [100.0, 101, 102, 3, 103, 104, 105, 106, 107]
    sent: list[Arrival] = [(2, T0 + at * MINUTE, value) for at, value in enumerate(values)]
    await processor.process([message(1, sent)], [])
    rig.now += 1e6
    await processor.close_quiet()
    time = T0 + 3 * MINUTE
    wanted = CorrectionFilter(*SERIES[2].key[:2])
    if isinstance(rig.store, InMemoryPartitionStore):
        queue, log = None, InMemoryCorrectionLog(rig.store)
    else:
        assert rig.database is not None
        queue, log = PostgresDecisionQueue(rig.database), PostgresCorrectionLog(rig.database)
    corrections = Corrections(log)
    (found,), total = await log.page(wanted, None, 9)
    assert (found.time, found.value, found.kind, found.decision, total) == (time, 3.0, "GLITCH", None, 1)

    async def decide(kind: str, value: float = 0.0) -> bool:
        """Whether anything was to be done; the owner dies after each of its commits."""
        nonlocal processor
        if isinstance(rig.store, InMemoryPartitionStore):
            rig.store.decide(found.series_id, time, Decision(kind, value))
            job = Recomputation(7, found.series_id, None, time + 1, False, Totals(), True)
            rig.store.jobs[job.id] = (0, job)
        else:
            assert queue is not None
            command = DecideCorrection(*SERIES[2].key[:2], found.id, Decision(kind, value), "ann", "sure")
            asked = await queue.ask(command)
            assert asked is not None
            if asked.entry is None:
                return False
        while await processor.recompute(at_once):
            processor = await rig.open()
        rig.now += 1e6
        await processor.close_quiet()
        return True

    async def used() -> float:
        rows = await rig.windows()
        return sum(row[11] + row[14] for (_, step, _), (_, row) in rows.items() if step == DAY)

    assert await used() == pytest.approx(7)
    for kind, value, right in (("IGNORE", 0.0, 7), ("RESET", 0.0, 6), ("VALUE", 102.5, 7), ("GLITCH", 0.0, 7)):
        assert await decide(kind, value)
        assert await used() == pytest.approx(right), kind
        listed, total = await log.page(wanted, None, 9)
        # After a reset the step back up is a jump.
        assert total == len(listed) == 1 + (kind == "RESET")
        one = next(item for item in listed if item.time == time)
        assert one.decision is not None
        assert one.value == 3.0
        assert (one.decision.kind, one.decision.author, one.decision.reason) == (kind, "ann", "sure")
        assert await corrections.one(*SERIES[2].key[:2], found.series_id, time) == one
        processor = await rig.open()
    # A replacement of the reading, later: it holds, be it what the reading says; RESET is no other value.
    for kind, value, replaced, right in (
        ("VALUE", 102.5, 3.0, 7),
        ("IGNORE", 0.0, 102.0, 7),
        ("RESET", 0.0, 101.0, 8),
        ("VALUE", 101.5, 99.5, 7),
    ):
        assert await decide(kind, value)
        processor, outcome = await rig.amend(processor, 2, time, replaced, killed=True)
        assert outcome == AmendmentOutcome.APPLIED
        rig.now += 1e6
        await processor.close_quiet()
        assert await used() == pytest.approx(right), kind
        if queue is not None:
            listed, _ = await log.page(wanted, None, 9)
            one = next(item for item in listed if item.time == time)
            assert one.decision is not None
            assert (one.decision.kind, one.decision.withdrawn) == (kind, kind != "RESET")
        processor = await rig.open()
        assert await used() == pytest.approx(right), kind
    # And the decision that comes after that.
    assert await decide("VALUE", 101.5)
    assert await decide("GLITCH")
    if queue is not None:
        assert not await decide("GLITCH")
        for wrong in (f"{found.series_id}-{time + 1}", f"{found.series_id + 1}-{time}"):
            command = DecideCorrection(*SERIES[2].key[:2], wrong, Decision("RESET"), "ann", "sure")
            assert await queue.ask(command) is None
        elsewhere = DecideCorrection("b1", "r9", found.id, Decision("RESET"), "ann", "sure")
        assert await queue.ask(elsewhere) is None
        with pytest.raises(CorrectionNotFound):
            _ = DecideCorrection("b1", "r1", "7-x", Decision("RESET"), "ann", "sure").place
