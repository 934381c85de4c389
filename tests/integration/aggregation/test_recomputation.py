"""Corrections and recomputation on the real parts: asked for over gRPC, done by the owner of the partition."""

import random
import time

import pytest

from services.aggregation.adapters.postgres.history import PostgresHistory
from services.aggregation.domain.counters.policy import DEFAULT_RULES, CounterRules, Policy
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.chassis.errors import InvalidArgument
from services.chassis.postgres import open_database
from tests.support.aggregation.mesh import Mesh, Row
from tests.support.aggregation.reference import Counting, first_wins, window
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.events.v1.windows_pb2 import WindowClosed

WINDOWS = "SELECT series_id, step_us, start_us, revision, count, sum, consumption FROM windows ORDER BY 1, 2, 3"


def meter(device: str, rules: CounterRules = DEFAULT_RULES, kind: Kind = Kind.COUNTER) -> Descriptor:
    return Descriptor(SeriesKey("b1", "r1", "energy", device), kind, "Wh", 5 * SECOND, rules)


def asked(**fields: object) -> pb.RecomputeWindowsRequest:
    return pb.RecomputeWindowsRequest(building="b1", room="r1", **fields)  # pyright: ignore


def traffic(one: Descriptor, start: int, count: int, seed: int) -> list[Row]:
    """A counter with glitches and a reset (or a gauge), a tenth of it late."""
    chance = random.Random(seed)
    rows: list[tuple[int, Row]] = []
    level = 1000.0
    for place in range(count):
        level = 3.0 if place == count * 2 // 3 else level + chance.randrange(3)
        value = chance.choice([0.0, 99999.0]) if chance.random() < 0.02 else level
        at = start + place * 5 * SECOND
        rows.append((at + (chance.randrange(30 * MINUTE) if chance.random() < 0.1 else 0), (one, at, value)))
    return [row for _, row in sorted(rows, key=lambda item: item[0])]


async def send_all(mesh: Mesh, rows: list[Row]) -> None:
    for first in range(0, len(rows), 200):
        await mesh.send(rows[first : first + 200])
    await mesh.until_stored(len({(row[0].key, row[1]) for row in rows}))


async def closed(mesh: Mesh) -> bool:
    """Nothing is open any more but what has closed once."""
    counted = await mesh.value("SELECT coalesce(sum(count), 0) FROM windows WHERE step_us = 60000000")
    return counted == await mesh.stored()


async def compare(mesh: Mesh, rows: list[Row], rules: Rules, counting: Counting) -> None:
    async with (
        open_database(mesh.dsn, schema="aggregation", application_name="tests") as database,
        PostgresHistory(database, rules).snapshot() as snapshot,
    ):
        for one in {row[0] for row in rows}:
            kept = first_wins([(row[1], row[2]) for row in rows if row[0] == one])
            infos = await snapshot.series(*one.key)
            for level, step in enumerate(rules.steps):
                starts = sorted({at - at % step for at in kept})
                parts = await snapshot.pieces(infos, starts[0], starts[-1] + step, level)
                found = spans(infos, parts, starts[0], starts[-1] + step, step)
                assert [span.start for span in found] == starts
                for span in found:
                    expected = window(kept, int(one.kind), 15 * SECOND, span.start, span.start + step, counting)
                    assert expected is not None
                    assert span.statistics.count == expected.count
                    assert span.statistics.integral == pytest.approx(float(expected.integral))
                    if one.kind == Kind.COUNTER:
                        consumption = float(expected.consumption)
                        assert span.statistics.consumption == pytest.approx(consumption, abs=1e-6)


def hours_ago(count: int) -> int:
    return (time.time_ns() // 1000 // HOUR - count) * HOUR


async def test_nothing_changes_until_the_rules_do(mesh: Mesh) -> None:
    replica = await mesh.replica(TOCSIN_AGGREGATION_EDGE_WAIT="200ms", TOCSIN_AGGREGATION_GRACE="200ms")
    stub = await mesh.stub(replica)
    start = hours_ago(40)
    rows = traffic(meter("m1"), start, 900, 1) + traffic(meter("m2"), start, 900, 2)
    rows += [(meter("g1", kind=Kind.GAUGE), start + at * 7 * SECOND, float(at % 13)) for at in range(500)]
    rows.sort(key=lambda row: row[1])
    await send_all(mesh, rows)
    await eventually(lambda: closed(mesh))
    before = await mesh.fetch(WINDOWS)
    corrections = await mesh.fetch("SELECT * FROM corrections ORDER BY 1, 2")
    assert corrections
    found = await stub.RecomputeWindows(asked())
    assert (found.series, found.readings, found.changed) == (3, await mesh.stored(), 0)
    assert found.windows == len(before)
    assert await mesh.fetch(WINDOWS) == before
    assert await mesh.fetch("SELECT * FROM corrections ORDER BY 1, 2") == corrections
    # Other rules, from the next message on; then for what has been, too.
    told: list[WindowClosed] = []

    async def hear(message: object) -> None:
        told.append(WindowClosed.FromString(message.data))  # pyright: ignore

    subscription = await mesh.nats.nc.subscribe("tocsin.windows.v1.closed.b1.r1.energy", cb=hear)
    rules = CounterRules(Policy.REJECT, cap=7200)
    after: list[Row] = [(meter("m1", rules), start + 35 * HOUR, 99.0)]
    await mesh.send(after)
    await mesh.until_stored(len({(row[0].key, row[1]) for row in rows}) + 1)
    changed = await stub.RecomputeWindows(asked(device="m1"))
    assert changed.series == 1
    assert changed.changed > 0
    mine = [(meter("m1"), at, value) for one, at, value in [*rows, *after] if one.key.device == "m1"]
    await compare(mesh, mine, Rules(), Counting("REJECT", cap=7200))
    await compare(mesh, [row for row in rows if row[0].key.device != "m1"], Rules(), Counting())
    await eventually(lambda: _any(told, lambda event: event.revision > 1 and event.device == "m1"))
    assert (await stub.RecomputeWindows(asked(device="m1"))).changed == 0
    nothing = await stub.RecomputeWindows(asked(device="m9"))
    assert (nothing.series, nothing.changed) == (0, 0)
    wrong = asked()
    getattr(wrong, "from").FromMicroseconds(start)
    wrong.to.FromMicroseconds(start)
    with pytest.raises(InvalidArgument):
        await stub.RecomputeWindows(wrong)
    await subscription.unsubscribe()
    assert await replica.end() == 0


async def _any(told: list[WindowClosed], wanted: object) -> bool:
    return any(wanted(event) for event in told)  # pyright: ignore


@pytest.mark.chaos
async def test_a_recomputation_outlives_its_caller_and_its_owner(mesh: Mesh) -> None:
    replica = await mesh.replica()
    rows = traffic(meter("m1"), hours_ago(30), 400, 3)
    await send_all(mesh, rows)
    await replica.end()
    await mesh.fetch(
        """
        INSERT INTO recomputations (partition, series_id, end_us, include_too_late)
        SELECT partition, id, 9223372036854775807, false FROM series
        """
    )
    await mesh.replica()
    await eventually(lambda: mesh.value("SELECT count(*) = 0 FROM recomputations WHERE done_time IS NULL"))
    # The newest one has not settled yet: its windows are open.
    assert await mesh.value("SELECT readings FROM recomputations") == 399
    assert await mesh.value("SELECT changed FROM recomputations") == 0


async def test_what_came_too_late_counts_when_asked_for(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    start, one = hours_ago(30), meter("g1", kind=Kind.GAUGE)
    rows: list[Row] = [(one, start + at * 5 * SECOND, 1.0) for at in range(100)]
    await mesh.send(rows)
    await mesh.send([(one, start + 5 * HOUR, 1.0)])
    await mesh.send([(one, start + 2 * SECOND, 7.0)])
    await mesh.until_stored(102)
    assert (await stub.RecomputeWindows(asked())).changed == 0
    found = await stub.RecomputeWindows(asked(include_too_late=True))
    # All but the newest one, which has not settled yet.
    assert found.readings == 101
    assert found.changed > 0
    assert await mesh.value("SELECT max(max) FROM windows") == 7.0
    assert await mesh.value("SELECT count(*) FROM segments WHERE late <> 0") == 0
    assert (await stub.RecomputeWindows(asked())).changed == 0


@pytest.mark.chaos
async def test_other_steps_and_an_older_layout_just_work(mesh: Mesh) -> None:
    first = await mesh.replica()
    start = hours_ago(50)
    rows = traffic(meter("m1"), start, 700, 4)
    rows += [(meter("g1", kind=Kind.GAUGE), start + at * HOUR, float(at)) for at in range(40)]
    await send_all(mesh, rows)
    assert await first.end() == 0
    steps = {"TOCSIN_AGGREGATION_STEPS": "30s,5m,6h", "TOCSIN_AGGREGATION_ANNOUNCED_STEPS": "5m"}
    second = await mesh.replica(**steps)
    await eventually(
        lambda: mesh.value("SELECT bool_and(steps = '{30000000,300000000,21600000000}') FROM series_state")
    )
    changed = Rules(steps=(30 * SECOND, 5 * MINUTE, 6 * HOUR), announced=(5 * MINUTE,))
    await compare(mesh, rows, changed, Counting())
    more: list[Row] = [(meter("m1"), start + 2 * DAY - HOUR + at * 5 * SECOND, 99999.0 + at) for at in range(30)]
    await mesh.send(more)
    await mesh.until_stored(len({(row[0].key, row[1]) for row in [*rows, *more]}))
    await compare(mesh, [*rows, *more], changed, Counting())
    assert await second.end() == 0
    windows = await mesh.fetch(WINDOWS)
    await mesh.fetch("UPDATE series_state SET version = 1, state = '\\x00'")
    await mesh.replica(**steps)
    await eventually(lambda: mesh.value("SELECT bool_and(version > 1) FROM series_state"))
    assert await mesh.fetch(WINDOWS) == windows
    await compare(mesh, [*rows, *more], changed, Counting())


async def test_corrections_are_listed_newest_first_in_pages(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    start = hours_ago(20)
    values = [float(100 + at) for at in range(60)]
    for glitch in (10, 20, 30):
        values[glitch] = 0.0
    reset = [*values, *(float(at) for at in range(5))]
    await mesh.send([(meter("m1"), start + at * 5 * SECOND, value) for at, value in enumerate(reset)])
    rolled = CounterRules(Policy.RESET)
    await mesh.send([(meter("m2", rolled), start + at * 5 * SECOND, value) for at, value in enumerate(values)])
    await eventually(lambda: mesh.value("SELECT count(*) = 7 FROM corrections"))
    found: list[tuple[str, int, float, float, str]] = []
    token = ""
    while True:
        request = pb.ListCorrectionsRequest(building="b1", room="r1", page_size=3, page_token=token)
        page = await stub.ListCorrections(request)
        assert page.total_size == 7
        found += [
            (
                one.series.device,
                (one.event_time.ToMicroseconds() - start) // SECOND // 5,
                one.value,
                one.level,
                type(one).Kind.Name(one.kind),
            )
            for one in page.corrections
        ]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == [
        ("m1", 10, 0.0, 109.0, "GLITCH"),
        ("m1", 20, 0.0, 119.0, "GLITCH"),
        ("m1", 30, 0.0, 129.0, "GLITCH"),
        ("m1", 60, 0.0, 159.0, "RESET"),
        ("m2", 10, 0.0, 109.0, "REVOKED"),
        ("m2", 20, 0.0, 119.0, "REVOKED"),
        ("m2", 30, 0.0, 129.0, "REVOKED"),
    ]
    assert [at for _, at, *_ in found] == [60, 30, 30, 20, 20, 10, 10]
    limited = pb.ListCorrectionsRequest(building="b1", room="r1", device="m1", sensor_type="energy")
    getattr(limited, "from").FromMicroseconds(start + 20 * 5 * SECOND)
    limited.to.FromMicroseconds(start + 60 * 5 * SECOND)
    assert (await stub.ListCorrections(limited)).total_size == 2
    assert (await stub.ListCorrections(pb.ListCorrectionsRequest(building="b1", room="r2"))).total_size == 0
    with pytest.raises(InvalidArgument):
        await stub.ListCorrections(pb.ListCorrectionsRequest(building="b1", room="r2", page_token=token or "x"))
