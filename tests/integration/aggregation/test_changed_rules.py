"""Rules that change in the catalogue hold for what is recomputed next, also for series that send no more."""

import asyncio
import signal
import time

import pytest

from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.mesh import Mesh, Row
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb

HOLD, REJECT = CounterRules(), CounterRules(Policy.REJECT)
# A reset by the default rules: 3 before it, 4 after; REJECT believes nothing of it.
VALUES = [100.0, 101.0, 102.0, 103.0, 1.0, 2.0, 3.0, 4.0, 5.0]
ROOM = pb.RecomputeWindowsRequest(building="b1", room="r1")
METERS = ("m1", "m2", "m3")


def meter(device: str, rules: CounterRules = HOLD, revision: int = 1, *, own: bool = False) -> Descriptor:
    return Descriptor(SeriesKey("b1", "r1", "energy", device), Kind.COUNTER, "Wh", 5 * SECOND, rules, own, revision)


def news(rules: CounterRules, revision: int, device: str = "", interval: int = 5 * SECOND) -> Descriptor:
    key = SeriesKey("", "", "energy", device)
    return Descriptor(key, Kind.COUNTER, "Wh", interval, rules, bool(device), revision)


def an_hour() -> int:
    return (time.time_ns() // 1000 // HOUR - 9) * HOUR


def sent(one: Descriptor, start: int) -> list[Row]:
    """The values, and a reading an hour later that lets all of them settle."""
    rows: list[Row] = [(one, start + at * 5 * SECOND, value) for at, value in enumerate(VALUES)]
    return [*rows, (one, start + HOUR, VALUES[-1])]


async def consumed(mesh: Mesh, start: int) -> dict[str, float]:
    """By device, in the first minute."""
    rows = await mesh.fetch(
        """
        SELECT device, consumption FROM windows JOIN series ON id = series_id
        WHERE step_us = 60000000 AND start_us = $1 AND sensor_type = 'energy'
        """,
        start,
    )
    return {row["device"]: row["consumption"] for row in rows}


async def all_closed(mesh: Mesh, start: int) -> bool:
    return set(await consumed(mesh, start)) == set(METERS)


async def test_a_recomputation_waits_for_rules_that_were_changed_before_it(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    start = an_hour()
    meters = [meter("m1"), meter("m2", own=True), meter("m3")]
    for one in meters:
        await mesh.send(sent(one, start))
    await eventually(lambda: all_closed(mesh, start))
    assert await consumed(mesh, start) == dict.fromkeys(METERS, 7.0)
    # A backlog lies between the owner of each partition and the change; the request comes right after it.
    gauge = Descriptor(SeriesKey("b1", "r2", "power", "g1"), Kind.GAUGE, "W", SECOND)
    others = [gauge._replace(key=gauge.key._replace(device=f"g{number}")) for number in range(40)]
    for at in range(10):
        await mesh.send([(other, start + at * MINUTE + step, 1.0) for step in range(500) for other in others])
    await mesh.change(news(REJECT, 2))
    assert (await stub.RecomputeWindows(ROOM)).changed > 0
    assert await consumed(mesh, start) == {"m1": 3.0, "m2": 7.0, "m3": 3.0}
    await mesh.change(news(HOLD, 3, "m3"), news(REJECT, 4, "m2"))
    await stub.RecomputeWindows(ROOM)
    assert await consumed(mesh, start) == {"m1": 3.0, "m2": 3.0, "m3": 7.0}


@pytest.mark.chaos
async def test_neither_a_crash_nor_readings_of_before_turn_rules_back(mesh: Mesh) -> None:
    replica = await mesh.replica()
    start = an_hour()
    for device in METERS:
        await mesh.send(sent(meter(device), start))
    await eventually(lambda: all_closed(mesh, start))
    changed = news(REJECT, 2, interval=MINUTE)
    await mesh.change(changed)
    await replica.end(signal.SIGKILL)
    # Told again, as after an acknowledgement that was lost; and readings accepted by whoever had not heard of it yet.
    await mesh.change(changed)
    stale = [meter("m1"), meter("m2", revision=0), meter("m4", REJECT, 2)]
    await mesh.send([(one, start + 2 * HOUR, 6.0) for one in stale])
    stub = await mesh.stub(await mesh.replica())
    await mesh.until_stored(len(METERS) * (len(VALUES) + 1) + len(stale))

    async def told() -> bool:
        rows = await mesh.fetch("SELECT DISTINCT interval_us, counter_policy, own_rules, rules_revision FROM series")
        kept = [tuple(row) for row in rows if row["interval_us"] == MINUTE]
        return kept == [(MINUTE, int(Policy.REJECT), False, 2)]

    await eventually(told)
    await stub.RecomputeWindows(ROOM)
    assert await consumed(mesh, start) == dict.fromkeys(METERS, 3.0)
    # What is expected of series that send no more is known to readers, too.
    rows = await mesh.fetch("SELECT max_gap_us FROM series_state JOIN series ON id = series_id WHERE device <> 'm4'")
    assert {row["max_gap_us"] for row in rows} == {3 * MINUTE}


async def test_messages_without_revisions_still_bring_rules(mesh: Mesh) -> None:
    stub = await mesh.stub(await mesh.replica())
    start = an_hour()
    for device in METERS:
        await mesh.send(sent(meter(device, revision=0), start))
    await eventually(lambda: all_closed(mesh, start))
    await mesh.send([(meter("m1", REJECT, 0), start + 2 * HOUR, 6.0)])
    await mesh.until_stored(len(METERS) * (len(VALUES) + 1) + 1)
    # Nobody knows yet whose rules they are: those of the type do not replace them until a reading has said so.
    await mesh.change(news(REJECT, 5))
    await stub.RecomputeWindows(ROOM)
    assert await consumed(mesh, start) == {"m1": 3.0, "m2": 7.0, "m3": 7.0}
    await mesh.send([(meter("m2", REJECT, 5), start + 2 * HOUR, 6.0)])
    await mesh.change(news(HOLD, 6))
    await asyncio.gather(*(stub.RecomputeWindows(ROOM) for _ in range(2)))
    assert await consumed(mesh, start) == {"m1": 3.0, "m2": 7.0, "m3": 7.0}
    assert await mesh.value("SELECT own_rules FROM series WHERE device = 'm2'") is False
