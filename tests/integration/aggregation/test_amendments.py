"""Voiding and replacing readings on the real parts: asked for over gRPC, done by the owner of the partition."""

import asyncio
import signal
import time
from functools import partial

import pytest

from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import MINUTE, SECOND
from services.chassis.errors import InvalidArgument, NotFound
from tests.support.aggregation.mesh import Mesh, Row
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2 as wm
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import AggregationServiceStub
from tocsin.events.v1.readings_pb2 import SensorTypeInfo

METER = Descriptor(SeriesKey("b1", "r1", "energy", "m1"), Kind.COUNTER, "Wh", 60 * SECOND)
LONE = Descriptor(SeriesKey("b1", "r1", "temperature", ""), Kind.GAUGE, "K", 60 * SECOND)


def void(one: Descriptor, at: int, reason: str = "wrong") -> pb.VoidReadingRequest:
    key = one.key
    request = pb.VoidReadingRequest(
        building=key.building, room=key.room, sensor_type=key.sensor_type, device=key.device, reason=reason
    )
    request.event_time.FromMicroseconds(at)
    return request


def replace(one: Descriptor, at: int, value: float, unit: str = "") -> pb.ReplaceReadingRequest:
    key = one.key
    request = pb.ReplaceReadingRequest(
        building=key.building,
        room=key.room,
        sensor_type=key.sensor_type,
        device=key.device,
        reason="read off by hand",
        value=value,
        unit=unit,
    )
    request.event_time.FromMicroseconds(at)
    return request


async def used(stub: AggregationServiceStub) -> float:
    page = await stub.ListWindows(
        pb.ListWindowsRequest(building="b1", room="r1", sensor_type="energy", device="m1", page_size=1000)
    )
    return sum(window.statistics.consumption for window in page.windows)


async def test_a_person_mends_a_meter_and_it_stays_mended(mesh: Mesh) -> None:
    replica = await mesh.replica(TOCSIN_AGGREGATION_EDGE_WAIT="200ms", TOCSIN_AGGREGATION_GRACE="200ms")
    stub = await mesh.stub(replica)
    start = (time.time_ns() // 1000 // MINUTE - 40) * MINUTE
    values = [100.0, 101, 102, 5000, 5001, 5002, 5003]
    rows: list[Row] = [(METER, start + at * MINUTE, value) for at, value in enumerate(values)]
    rows.append((LONE, start, 290.0))
    await mesh.send(rows)
    await mesh.until_stored(len(rows))
    # From the fourth on they are 4,897 too high.
    for at, value in enumerate(values[3:], 3):
        found = await stub.ReplaceReading(replace(METER, start + at * MINUTE, value - 4897, "Wh"), timeout=60)
        assert found.changed
        assert (found.reading.value, found.reading.amendment.original_value) == (value - 4897, value)
    assert await used(stub) == pytest.approx(6)
    voided = await stub.VoidReading(void(METER, start + MINUTE, "a test"))
    assert voided.changed
    mark = voided.reading.amendment
    assert (mark.kind, mark.reason, voided.reading.value) == (wm.Amendment.VOIDED, "a test", 101)
    assert mark.author
    assert abs(mark.create_time.ToSeconds() - time.time()) < 300
    again = await stub.VoidReading(void(METER, start + MINUTE, "once more"))
    assert (again.changed, again.reading.amendment.reason) == (False, "a test")
    assert await used(stub) == pytest.approx(6)
    # The first reading, and the only one of a series.
    await stub.VoidReading(void(METER, start))
    assert await used(stub) == pytest.approx(4)
    lone = await stub.VoidReading(void(LONE, start))
    assert lone.changed
    assert await mesh.value("SELECT count(*) FROM windows w JOIN series s ON s.id = w.series_id WHERE device = ''") == 0
    # What the device sends again changes nothing, nor does another owner, nor a recomputation.
    await mesh.send(rows)
    await replica.end()
    other = await mesh.replica()
    stub = await mesh.stub(other)
    assert (await stub.RecomputeWindows(pb.RecomputeWindowsRequest(building="b1", room="r1"), timeout=60)).changed == 0
    assert await used(stub) == pytest.approx(4)
    listed = await stub.ListReadings(
        pb.ListReadingsRequest(building="b1", room="r1", sensor_type="energy", oldest_first=True)
    )
    assert [one.value for one in listed.readings] == [100, 101, 102, 103, 104, 105, 106]
    assert [one.amendment.kind for one in listed.readings] == [1, 1, 0, 2, 2, 2, 2]
    assert await mesh.value("SELECT count(*) FROM readings WHERE voided") == 3
    with pytest.raises(NotFound, match="holds no energy of"):
        await stub.VoidReading(void(METER, start + SECOND))
    with pytest.raises(NotFound, match="without a device"):
        await stub.VoidReading(void(METER._replace(key=METER.key._replace(device="")), start))
    with pytest.raises(InvalidArgument, match="unit: cannot be converted to Wh") as refusal:
        await stub.ReplaceReading(replace(METER, start, 1.0, "C"), timeout=60)
    assert refusal.value.reason == "UNIT_UNKNOWN"


async def test_a_value_that_no_reading_could_have_is_refused_like_one(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    rolling = METER._replace(counting=CounterRules(Policy.ROLLOVER, 6000.0), revision=1)
    start = (time.time_ns() // 1000 // MINUTE - 40) * MINUTE
    await mesh.tell(SensorTypeInfo(sensor_type="energy", unit="Wh", min_value=0.0, max_value=1e12, told_us=1))
    await mesh.tell(SensorTypeInfo(sensor_type="temperature", unit="K", min_value=0.0, told_us=1))
    await mesh.send([(rolling, start, 100.0), (LONE, start, 290.0)])
    await mesh.until_stored(2)
    refused: list[tuple[pb.ReplaceReadingRequest, str, dict[str, str]]] = [
        (replace(rolling, start, -5.0), "VALUE_OUT_OF_RANGE", {"value": "-5", "min": "0", "max": "6000", "unit": "Wh"}),
        (replace(rolling, start, 6.1, "kWh"), "VALUE_OUT_OF_RANGE", {"value": "6100", "max": "6000"}),
        (replace(rolling, start, 1e308, "MWh"), "VALUE_OUT_OF_RANGE", {"value": "inf"}),
        (replace(LONE, start, -300.0, "C"), "VALUE_OUT_OF_RANGE", {"min": "0", "unit": "K"}),
        (replace(LONE, start, 1.0, "Wh"), "UNIT_UNKNOWN", {"unit": "Wh", "canonicalUnit": "K"}),
    ]
    for request, reason, metadata in refused:
        with pytest.raises(InvalidArgument) as refusal:
            await stub.ReplaceReading(request, timeout=60)
        assert (refusal.value.reason, refusal.value.violations[0].field) == (
            reason,
            "unit" if "UNIT" in reason else "value",
        )
        assert metadata.items() <= refusal.value.metadata.items()
    assert await mesh.value("SELECT count(*) FROM amendments") == 0
    assert await mesh.value("SELECT sum(value) FROM readings") == 390
    warm = await stub.ReplaceReading(replace(LONE, start, 20.0, "C"), timeout=60)
    assert warm.reading.value == pytest.approx(293.15)


async def test_what_was_accepted_can_be_amended_at_once(mesh: Mesh) -> None:
    stub = await mesh.stub(await mesh.replica())
    start = (time.time_ns() // 1000 // MINUTE - 40) * MINUTE
    for number in range(8):
        lone = LONE._replace(key=LONE.key._replace(device=f"d{number}"))
        await mesh.send([(lone, start, 290.0)])
        if number % 2:
            assert (await stub.VoidReading(void(lone, start), timeout=60)).changed
        else:
            assert (await stub.ReplaceReading(replace(lone, start, 291.0), timeout=60)).reading.value == 291.0
    with pytest.raises(NotFound):
        await stub.VoidReading(void(LONE, start), timeout=60)


async def test_a_range_is_voided_in_one_call(mesh: Mesh) -> None:
    stub = await mesh.stub(await mesh.replica(TOCSIN_AGGREGATION_EDGE_WAIT="200ms", TOCSIN_AGGREGATION_GRACE="200ms"))
    start = (time.time_ns() // 1000 // MINUTE - 3 * 24 * 60) * MINUTE

    def request(first: int, last: int) -> pb.VoidReadingsRequest:
        key = METER.key
        made = pb.VoidReadingsRequest(
            building=key.building, room=key.room, sensor_type=key.sensor_type, device=key.device, reason="a test"
        )
        getattr(made, "from").FromMicroseconds(start + first * MINUTE)
        made.to.FromMicroseconds(start + last * MINUTE)
        return made

    with pytest.raises(NotFound):
        await stub.VoidReadings(request(0, 10), timeout=60)
    # Two days and a half of a reading each ten minutes; the wrong ones cross two midnights.
    rows: list[Row] = [(METER, start + at * MINUTE, 100.0 + at / 10) for at in range(0, 3600, 10)]
    wrong = [(series, at, value + (5000 if 700 <= (at - start) // MINUTE < 2600 else 0)) for series, at, value in rows]
    await mesh.send(wrong)
    voided = await stub.VoidReadings(request(700, 2600), timeout=60)
    assert (voided.readings, voided.changed) == (190, 190)
    assert voided.windows > 0
    assert await used(stub) == pytest.approx(359)
    again = await stub.VoidReadings(request(700, 2600), timeout=60)
    assert (again.readings, again.changed, again.windows) == (190, 0, 0)
    assert (await stub.RecomputeWindows(pb.RecomputeWindowsRequest(building="b1", room="r1"), timeout=60)).changed == 0
    assert await mesh.value("SELECT count(*) FROM readings WHERE voided") == 190
    assert await mesh.value("SELECT count(*) FROM readings") == len(rows)
    nothing = await stub.VoidReadings(request(-100, -50), timeout=60)
    assert (nothing.readings, nothing.windows) == (0, 0)
    with pytest.raises(InvalidArgument, match="to: must be after from"):
        await stub.VoidReadings(request(5, 5), timeout=60)
    dense: list[Row] = [(LONE, start + at, 290.0) for at in range(10_001)]
    await mesh.send(dense)
    lone = request(0, 1)
    lone.sensor_type, lone.device = "temperature", ""
    with pytest.raises(InvalidArgument, match="10,000") as refusal:
        await stub.VoidReadings(lone, timeout=60)
    assert refusal.value.reason == "TOO_MANY_READINGS"
    assert await mesh.value("SELECT count(*) FROM readings WHERE voided") == 190
    lone.to.FromMicroseconds(start + 10_000)
    assert (await stub.VoidReadings(lone, timeout=60)).changed == 10_000


@pytest.mark.chaos
async def test_kills_between_leave_nothing_half_done(mesh: Mesh) -> None:
    replica = await mesh.replica()
    start = (time.time_ns() // 1000 // MINUTE - 60) * MINUTE
    rows: list[Row] = [(METER, start + at * MINUTE, 100.0 + at) for at in range(50)]
    await mesh.send(rows)
    await mesh.until_stored(len(rows))
    for place in range(0, 24, 8):
        stub = await mesh.stub(replica)
        calls = [
            asyncio.ensure_future(stub.ReplaceReading(replace(METER, start + at * MINUTE, 100.5 + at)))
            for at in range(place, place + 8)
        ]
        await eventually(partial(mesh.value, "SELECT count(*) > $1 FROM amendments", place))
        await replica.end(signal.SIGKILL)
        await asyncio.gather(*calls, return_exceptions=True)
        replica = await mesh.replica()
        await eventually(lambda: mesh.value("SELECT count(*) = 0 FROM recomputations WHERE done_time IS NULL"))
    stub = await mesh.stub(replica)
    for at in range(24):
        found = await stub.ReplaceReading(replace(METER, start + at * MINUTE, 100.5 + at), timeout=60)
        assert found.reading.value == 100.5 + at
    assert (await stub.RecomputeWindows(pb.RecomputeWindowsRequest(building="b1", room="r1"), timeout=60)).changed == 0
    # From 100.5 to 123.5, and from there to 149.
    assert await used(stub) == pytest.approx(48.5)
    assert await mesh.stored() == len(rows)
