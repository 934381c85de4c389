"""Corrections and recomputation: the stores in memory and on PostgreSQL say and do the same, under every policy."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from services.aggregation.adapters.memory.correction_log import InMemoryCorrectionLog
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres.correction_log import PostgresCorrectionLog
from services.aggregation.adapters.postgres.lease_store import PostgresLeaseStore
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.adapters.postgres.recomputations import PostgresRecomputationQueue
from services.aggregation.adapters.postgres.stored_columns import stored_windows
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import PartitionStore, Recomputation, Totals
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.partition.recomputation_request import RecomputeRoom
from services.aggregation.application.queries.corrections import (
    CorrectionFilter,
    CorrectionLog,
    Corrections,
    StoredCorrection,
)
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.settings import MIGRATIONS
from services.chassis.paging import PageTokenInvalid
from services.chassis.postgres import Database, Outbox, open_database
from tests.support.aggregation.partition import T0, Arrival, at_once, descriptor, message
from tests.support.postgres import Schemas

RULES = Rules(lateness=HOUR, announce_fine_within=40000 * DAY)
POLICIES = [CounterRules(policy, register=64.0, cap=cap) for policy in Policy for cap in (0.0, 3600.0)]
SERIES = [descriptor(n, Kind.COUNTER)._replace(counting=rules) for n, rules in enumerate(POLICIES)]
Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


def describe(raw: bytes) -> Descriptor:
    return SERIES[int(raw)]


@dataclass
class Rig:
    store: PartitionStore
    log: CorrectionLog
    lease: Lease
    database: Database | None = None

    async def open(self) -> Processor:
        processor = Processor(self.store, self.lease, RULES, describe, lambda: 0.0)
        await processor.load()
        return processor

    async def windows(self) -> dict[tuple[int, int, int], tuple[float, ...]]:
        """Without revisions."""
        if isinstance(self.store, InMemoryPartitionStore):
            return {key: tuple(row.item()) for key, (_, row) in self.store.windows.items()}
        assert self.database is not None
        async with self.database.connection() as connection:
            asked = [(one + 1, step, 0, 2**62) for one in range(len(SERIES)) for step in RULES.steps]
            found, _ = await stored_windows(connection, asked)
        columns = zip(found.series.tolist(), found.start.tolist(), found.rows, strict=True)
        return {(*asked[place][:2], start): tuple(row.item()) for place, start, row in columns}

    async def recompute(self, processor: Processor) -> Totals:
        """Everything; what it came to."""
        if isinstance(self.store, InMemoryPartitionStore):
            for series_id in self.store.series:
                self.store.jobs[series_id] = (0, Recomputation(series_id, series_id, None, 2**62, False, Totals()))
            while await processor.recompute(at_once):
                pass
            return Totals(*(sum(column) for column in zip(*self.store.done.values(), strict=True)))
        assert self.database is not None
        desk = PostgresRecomputationQueue(self.database)
        entries = await desk.ask(RecomputeRoom("b1", "r1"))
        assert len(entries) == len(SERIES)
        assert await desk.done(entries) is None
        while await processor.recompute(at_once):
            pass
        totals = await desk.done(entries)
        assert totals is not None
        return totals


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        yield in_memory()
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
        leases = PostgresLeaseStore(database, partitions=1, ttl=timedelta(minutes=5))
        await leases.prepare()
        (lease,) = await leases.acquire("me", 1)
        yield Rig(store, PostgresCorrectionLog(database), lease, database)


def in_memory() -> Rig:
    store = InMemoryPartitionStore(RULES)
    return Rig(store, InMemoryCorrectionLog(store), Lease(0, "me", 1))


def arrivals(seed: int, count: int) -> list[Arrival]:
    """Rising values with drops, jumps, resets and runs over the register; a tenth late, some repeated."""
    chance = random.Random(seed)
    levels = [chance.uniform(0, 60) for _ in SERIES]
    found: list[tuple[int, Arrival]] = []
    for place in range(count):
        number = place % len(SERIES)
        levels[number] = (levels[number] + chance.choice([0, 1, 2])) % 64
        if chance.random() < 0.01:
            levels[number] = 0.0
        value = chance.choice([0.0, 500.0]) if chance.random() < 0.05 else levels[number]
        if number == 1 and place > count // 2:
            # Replaced by another one that has counted more.
            value += 900.0
        at = T0 + place // len(SERIES) * 5 * SECOND
        delay = chance.randrange(20 * MINUTE) if chance.random() < 0.1 else 0
        found.append((at + delay, (number, at, value)))
    return [arrival for _, arrival in sorted(found, key=lambda item: item[0])]


async def fed(rig: Rig, sent: list[Arrival]) -> Processor:
    processor = await rig.open()
    for place in range(0, len(sent), 120):
        await processor.process([message(place + 1, sent[place : place + 120])], [])
        if place == 480:
            processor = await rig.open()
    return processor


async def everything(rig: Rig, size: int = 0) -> list[StoredCorrection]:
    """All pages."""
    found: list[StoredCorrection] = []
    token = ""
    while True:
        page, total = await Corrections(rig.log).page(CorrectionFilter("b1", "r1"), size, token)
        found += page.items
        token = page.next_token
        if not token:
            assert len(found) == total
            return found


async def test_both_judge_alike_and_recomputing_changes_nothing(rig: Rig) -> None:
    sent, mirror = arrivals(11, 1600), in_memory()
    processor = await fed(rig, sent)
    await fed(mirror, sent)
    found = await everything(rig, 7)
    assert found == await everything(mirror, 1000)
    assert {one.kind for one in found} == {"GLITCH", "RESET", "ROLLOVER", "JUMP", "REJECTED", "REVOKED"}
    windows, expected = await rig.windows(), await mirror.windows()
    assert windows.keys() == expected.keys()
    for key, row in expected.items():
        assert windows[key] == pytest.approx(row), key
    totals = await rig.recompute(processor)
    assert totals.changed == 0
    assert totals.readings > 1500
    assert await rig.windows() == windows
    assert await everything(rig) == found


async def test_pages_are_newest_first_and_limited_as_asked(rig: Rig) -> None:
    await fed(rig, arrivals(12, 800))
    found = await everything(rig, 3)
    order = [(one.time, one.series_id) for one in found]
    assert order == sorted(set(order), reverse=True)
    desk = Corrections(rig.log)
    middle = found[len(found) // 2]
    page, total = await desk.page(CorrectionFilter("b1", "r1", "temperature", middle.key.device), 1000, "")
    assert list(page.items) == [one for one in found if one.key.device == middle.key.device]
    assert total == len(page.items)
    page, total = await desk.page(CorrectionFilter("b1", "r1", start=middle.time, end=found[0].time), 1000, "")
    assert list(page.items) == [one for one in found if middle.time <= one.time < found[0].time]
    assert (await desk.page(CorrectionFilter("b1", "r1", "humidity"), 10, ""))[1] == 0
    assert (await desk.page(CorrectionFilter("b2", "r1"), 10, ""))[1] == 0
    first, _ = await desk.page(CorrectionFilter("b1", "r1"), 2, "")
    with pytest.raises(PageTokenInvalid):
        await desk.page(CorrectionFilter("b1", "r2"), 2, first.next_token)
