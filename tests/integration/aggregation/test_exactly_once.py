"""Crashes, take-overs, redeliveries: what is stored is what was sent, once; the windows are those of the reference."""

import asyncio
import random
import signal
import time
from collections import defaultdict

import pytest

from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey, partition_of
from services.aggregation.domain.times import MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from services.chassis.postgres import open_database
from tests.support.aggregation.mesh import PARTITIONS, Mesh, Row
from tests.support.aggregation.reference import first_wins, window
from tests.support.eventually import eventually

INTERVAL = 5 * SECOND


def fleet(count: int) -> list[Descriptor]:
    kinds = (Kind.GAUGE, Kind.LEVEL)
    return [
        Descriptor(SeriesKey("b1", f"r{n % 7}", "temperature", f"d{n}"), kinds[n % 2], "K", INTERVAL)
        for n in range(count)
    ]


def traffic(series: list[Descriptor], rounds: int, seed: int) -> list[list[Row]]:
    """Batches: 5 % of the readings lost, some repeated, some late."""
    chance = random.Random(seed)
    start = (time.time_ns() // 1000 // MINUTE - 240) * MINUTE
    batches: list[list[Row]] = []
    held: list[Row] = []
    for number in range(rounds):
        rows: list[Row] = []
        for one in series:
            fate = chance.random()
            row = (one, start + number * INTERVAL + chance.randrange(0, SECOND), chance.uniform(280, 310))
            if fate < 0.05:
                continue
            if fate < 0.08:
                held.append(row)
                continue
            rows.append(row)
            if fate < 0.12:
                rows.append((row[0], row[1], -1.0))
        if held and chance.random() < 0.3:
            rows.extend(held)
            held = []
        if batches and chance.random() < 0.2:
            rows.extend(chance.choice(batches)[:5])
        batches.append(rows)
    batches.append([*held, *((one, start + rounds * INTERVAL, 300.0) for one in series)])
    return batches


async def compare(mesh: Mesh, batches: list[list[Row]]) -> None:
    """Everything that is stored, with what was sent."""
    arrived: dict[Descriptor, list[tuple[int, float]]] = defaultdict(list)
    for rows in batches:
        for one, at, value in rows:
            arrived[one].append((at, value))
    rules = Rules()
    async with (
        open_database(mesh.dsn, schema="aggregation", application_name="tests") as database,
        PostgresHistory(database, rules).snapshot() as snapshot,
    ):
        for one, readings in arrived.items():
            kept = first_wins(readings)
            infos = await snapshot.series(one.key.building, one.key.room, one.key.sensor_type, one.key.device)
            stored = await snapshot.readings(infos, 0, 2**62)
            assert dict(zip(stored.time.tolist(), stored.value.tolist(), strict=True)) == {
                at: float(value) for at, value in kept.items()
            }
            assert len(stored.time) == len(kept)
            for level, step in enumerate(rules.steps[:3]):
                starts = sorted({at - at % step for at in kept})
                parts = await snapshot.pieces(infos, starts[0], starts[-1] + step, level)
                found = spans(infos, parts, starts[0], starts[-1] + step, step)
                assert [span.start for span in found] == starts
                for span in found:
                    _agree(span.statistics, window(kept, int(one.kind), 3 * INTERVAL, span.start, span.start + step))


def _agree(found: Statistics, expected: object) -> None:
    from tests.support.aggregation.reference import Expected

    assert isinstance(expected, Expected)
    assert (found.count, found.covered) == (expected.count, expected.covered)
    assert found.integral == pytest.approx(float(expected.integral))
    assert (found.min, found.max) == (float(expected.least), float(expected.most))


@pytest.mark.chaos
async def test_two_replicas_share_and_a_killed_one_is_taken_over_under_load(mesh: Mesh) -> None:
    first, second = await mesh.replica(), await mesh.replica()

    async def owners() -> dict[str, int]:
        rows = await mesh.fetch("SELECT owner, count(*) FROM partitions WHERE owner IS NOT NULL GROUP BY owner")
        return {row[0]: row[1] for row in rows}

    await eventually(lambda: _both(owners, PARTITIONS // 2))
    batches = traffic(fleet(40), 240, seed=7)

    async def feed() -> None:
        for rows in batches:
            await mesh.send(rows)
            await asyncio.sleep(0)

    feeding = asyncio.create_task(feed())
    await eventually(lambda: _more_than(mesh, 1000))
    await first.end(signal.SIGKILL)
    await eventually(lambda: _more_than(mesh, 4000), 20)
    await second.end(signal.SIGKILL)
    third = await mesh.replica()
    await feeding
    expected = sum(len(first_wins(readings)) for readings in _by_series(batches).values())
    await mesh.until_stored(expected, 30)
    await eventually(lambda: _drained(mesh))
    assert await third.end() == 0
    await compare(mesh, batches)
    assert await mesh.value("SELECT count(*) FROM partitions WHERE owner IS NOT NULL") == 0


async def test_a_redelivered_message_and_a_message_sent_twice_change_nothing(mesh: Mesh) -> None:
    replica = await mesh.replica()
    one = fleet(1)[0]
    start = (time.time_ns() // 1000 // MINUTE - 60) * MINUTE
    rows: list[Row] = [(one, start + place * INTERVAL, float(place)) for place in range(100)]
    await mesh.send(rows[:50], message_id="m1")
    await mesh.until_stored(50)
    await replica.end(signal.SIGKILL)
    # The position says that the message had its effect, whatever the broker believes.
    partition = partition_of(one.key, PARTITIONS)
    position = await mesh.value("SELECT position FROM partitions WHERE partition = $1", partition)
    assert position > 0
    await mesh.send(rows[:50], message_id="m2")
    await mesh.send([(row[0], row[1], 999.0) for row in rows[:50]], message_id="m3")
    await mesh.send(rows, message_id="m4")
    await mesh.replica()
    await mesh.until_stored(100)
    await eventually(lambda: _drained(mesh))
    await compare(mesh, [rows])


async def test_a_stopped_replica_gives_its_partitions_back_at_once(mesh: Mesh) -> None:
    # Its lease would last for an hour.
    slow = {"TOCSIN_AGGREGATION_LEASE_TTL": "1h"}
    first = await mesh.replica(**slow)
    await eventually(lambda: _owned(mesh, PARTITIONS))
    began = time.monotonic()
    assert await first.end() == 0
    await mesh.replica(**slow)
    await eventually(lambda: _owned(mesh, PARTITIONS), 10)
    assert time.monotonic() - began < 20


def _by_series(batches: list[list[Row]]) -> dict[Descriptor, list[tuple[int, float]]]:
    arrived: dict[Descriptor, list[tuple[int, float]]] = defaultdict(list)
    for rows in batches:
        for one, at, value in rows:
            arrived[one].append((at, value))
    return arrived


async def _owned(mesh: Mesh, count: int) -> bool:
    return await mesh.value("SELECT count(*) FROM partitions WHERE owner IS NOT NULL") == count


async def _both(owners: object, each: int) -> bool:
    found = await owners()  # pyright: ignore
    return sorted(found.values()) == [each, each]


async def _more_than(mesh: Mesh, count: int) -> bool:
    return await mesh.stored() > count


async def _drained(mesh: Mesh) -> bool:
    info = await mesh.nats.js.stream_info("READINGS")
    return info.state.messages == 0
