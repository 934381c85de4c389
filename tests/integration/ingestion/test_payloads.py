import json
import time

import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody

from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument, NotFound
from services.chassis.grpc.status import unpack
from services.chassis.nats.topology import READINGS, READINGS_PRIORITY
from tests.integration.ingestion.conftest import World
from tocsin.events.v1 import readings_pb2
from tocsin.ingestion.v1 import catalogue_pb2, catalogue_service_pb2
from tocsin.ingestion.v1 import payload_service_pb2 as pb


def body(content: object) -> HttpBody:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return HttpBody(content_type="application/json", data=raw)


async def submit(world: World, name: str, content: object) -> pb.SubmitPayloadResponse:
    return await world.payloads.SubmitPayload(
        pb.SubmitPayloadRequest(format=name, payload=body(content)), metadata=world.me
    )


async def failure(call: object) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call  # pyright: ignore
    return unpack(refusal.value)


def now() -> int:
    return time.time_ns() // 1_000_000_000


async def last(world: World, stream: str) -> bytes:
    state = (await world.nats.js.stream_info(stream)).state
    return (await world.nats.js.get_msg(stream, state.last_seq)).data or b""


async def test_three_formats_become_canonical_readings(world: World) -> None:
    at = now()
    ep1 = await submit(world, "ep1", {"device": "d1", "energy": 12.5, "unit": 3, "ts": at, "tag": "x"})
    assert (ep1.readings[0].device, ep1.readings[0].value, ep1.readings[0].unit) == ("d1", 12_500.0, "Wh")
    assert (ep1.readings[0].building, ep1.readings[0].room) == ("unassigned", "unassigned")
    batch = readings_pb2.ReadingBatch.FromString(await last(world, READINGS))
    assert (batch.series[0].kind, list(batch.flags)) == (readings_pb2.SeriesDescriptor.COUNTER, [])

    await submit(world, "ep2", {"from": "d2", "content": {"energy": 9}, "timestamp": at * 1000, "tag": "x"})
    batch = readings_pb2.ReadingBatch.FromString(await last(world, READINGS))
    assert (list(batch.value), list(batch.flags), list(batch.event_time_us)) == ([9.0], [1], [at * 1_000_000])

    env1 = await submit(world, "env1", {"id": "c1", "d": {"filling_level": 40}, "ts": at, "tag": "x"})
    assert not env1.priority
    batch = readings_pb2.ReadingBatch.FromString(await last(world, READINGS))
    assert (batch.series[0].kind, batch.series[0].sensor_type) == (readings_pb2.SeriesDescriptor.LEVEL, "filling_level")
    device = await world.catalogue.GetDevice(catalogue_service_pb2.GetDeviceRequest(id="c1"), metadata=world.me)
    assert (device.format, device.sensor_type) == ("env1", "filling_level")


async def test_a_device_of_the_catalogue_stands_where_it_says(world: World) -> None:
    for request in (
        catalogue_service_pb2.CreateBuildingRequest(building=catalogue_pb2.Building(id="hq")),
        catalogue_service_pb2.CreateRoomRequest(room=catalogue_pb2.Room(building="hq", id="yard")),
        catalogue_service_pb2.CreateDeviceRequest(
            device=catalogue_pb2.Device(id="c7", building="hq", room="yard", sensor_type="filling_level")
        ),
    ):
        name = type(request).__name__.removesuffix("Request")
        await getattr(world.catalogue, name)(request, metadata=world.me)
    answer = await submit(world, "env1", {"id": "c7", "d": {"filling_level": 1}, "ts": now(), "tag": "x"})
    assert (answer.readings[0].building, answer.readings[0].room) == ("hq", "yard")
    moved = catalogue_service_pb2.UpdateDeviceRequest(
        device=catalogue_pb2.Device(id="c7", building="hq", room="cellar"), update_mask={"paths": ["room"]}
    )
    error = await failure(world.catalogue.UpdateDevice(moved, metadata=world.me))
    assert isinstance(error, NotFound)
    await world.catalogue.CreateRoom(
        catalogue_service_pb2.CreateRoomRequest(room=catalogue_pb2.Room(building="hq", id="cellar")), metadata=world.me
    )
    await world.catalogue.UpdateDevice(moved, metadata=world.me)
    answer = await submit(world, "env1", {"id": "c7", "d": {"filling_level": 2}, "ts": now(), "tag": "x"})
    assert answer.readings[0].room == "cellar"


async def test_an_emptied_container_takes_the_priority_lane_once(world: World) -> None:
    payload = {"id": "c1", "d": {"filling_level": 0}, "ts": now(), "tag": "x"}
    for _ in range(2):
        assert (await submit(world, "env1", payload)).priority
    state = (await world.nats.js.stream_info(READINGS_PRIORITY)).state
    assert state.messages == 1
    emptied = readings_pb2.ContainerEmptied.FromString(await last(world, READINGS_PRIORITY))
    assert (emptied.series.device, emptied.forced, emptied.event_time.seconds) == ("c1", False, payload["ts"])
    assert (await world.nats.js.stream_info(READINGS)).state.messages == 0

    forced = await world.payloads.EmptyDevice(pb.EmptyDeviceRequest(device="c1"), metadata=world.me)
    assert (forced.reading.value, forced.reading.unit) == (0.0, "%")
    emptied = readings_pb2.ContainerEmptied.FromString(await last(world, READINGS_PRIORITY))
    assert emptied.forced
    assert (await world.nats.js.stream_info(READINGS_PRIORITY)).state.messages == 2


async def test_what_cannot_be_emptied(world: World) -> None:
    await submit(world, "ep1", {"device": "d1", "energy": 1, "unit": 0, "ts": now(), "tag": "x"})
    before = await world.footprint()
    error = await failure(world.payloads.EmptyDevice(pb.EmptyDeviceRequest(device="d1"), metadata=world.me))
    assert isinstance(error, FailedPrecondition)
    assert (error.reason, error.metadata) == ("NOT_A_LEVEL", {"device": "d1", "sensorType": "energy"})
    error = await failure(world.payloads.EmptyDevice(pb.EmptyDeviceRequest(device="d9"), metadata=world.me))
    assert isinstance(error, NotFound)
    assert await world.footprint() == before


BAD = [
    (b"{", ""),
    (b"[" * 60_000, ""),
    (b'{"device": "\xff"}', ""),
    ({"device": "d1", "energy": "12", "unit": 0, "ts": 1}, "energy"),
    ({"device": "d 1", "energy": 12, "unit": 0, "ts": 1}, "device"),
    ({"device": "d1", "energy": 12, "unit": 99, "ts": 1}, "unit"),
    ({"device": "d1", "energy": 12, "unit": 0, "ts": "now"}, "ts"),
]


async def test_what_nobody_understands_goes_to_quarantine_and_can_be_replayed(world: World) -> None:
    before = await world.footprint()
    ids: list[str] = []
    for content, field in BAD:
        error = await failure(submit(world, "ep1", content))
        assert isinstance(error, InvalidArgument)
        assert error.reason == "PAYLOAD_NOT_UNDERSTOOD"
        assert error.metadata["format"] == "ep1"
        assert [v.field for v in error.violations] == [field]
        ids.append(error.metadata["quarantineId"])
    after = await world.footprint()
    assert [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b] == [5], "only the quarantine grew"

    found: list[pb.QuarantinedPayload] = []
    token = ""
    while True:
        request = pb.ListQuarantinedPayloadsRequest(page_size=3, page_token=token, format="ep1")
        page = await world.payloads.ListQuarantinedPayloads(request, metadata=world.me)
        found += page.payloads
        token = page.next_page_token
        if not token:
            break
    assert [kept.id for kept in found] == ids[::-1]
    assert [kept.field for kept in found] == [field for _, field in BAD][::-1]
    assert found[-1].payload == b"{"
    stolen = pb.ListQuarantinedPayloadsRequest(page_size=3, page_token=page.next_page_token or "eyJ4", format="ep2")
    error = await failure(world.payloads.ListQuarantinedPayloads(stolen, metadata=world.me))
    assert error.reason == "PAGE_TOKEN_INVALID"

    replay = pb.ReplayQuarantinedPayloadRequest(id=ids[0])
    error = await failure(world.payloads.ReplayQuarantinedPayload(replay, metadata=world.me))
    assert error.reason == "PAYLOAD_NOT_UNDERSTOOD"
    good = json.dumps({"device": "d1", "energy": 1, "unit": 0, "ts": now(), "tag": "x"}).encode()
    async with world.database.connection() as connection:
        await connection.execute("UPDATE quarantined_payloads SET payload = $2 WHERE id = $1", ids[0], good)
    answer = await world.payloads.ReplayQuarantinedPayload(replay, metadata=world.me)
    assert answer.readings[0].value == 1.0
    error = await failure(world.payloads.ReplayQuarantinedPayload(replay, metadata=world.me))
    assert isinstance(error, NotFound)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("ep9", {}, "FORMAT_UNKNOWN"),
        ("e.p", {}, "INVALID_FIELD"),
        ("ep1", b"", "INVALID_FIELD"),
        ("ep1", b"x" * 65_537, "INVALID_FIELD"),
    ],
)
async def test_a_request_that_is_wrong_as_such_leaves_nothing(
    world: World, name: str, content: object, reason: str
) -> None:
    before = await world.footprint()
    assert (await failure(submit(world, name, content))).reason == reason
    assert await world.footprint() == before


async def test_a_payload_out_of_range_is_refused_and_registers_nothing(world: World) -> None:
    before = await world.footprint()
    error = await failure(submit(world, "ep1", {"device": "d1", "energy": 1, "unit": 0, "ts": 1_000_000, "tag": "x"}))
    assert error.reason == "EVENT_TIME_OUT_OF_RANGE"
    assert await world.footprint() == before


async def test_trying_a_payload_stores_nothing(world: World) -> None:
    before = await world.footprint()
    for content, errors in (
        ({"device": "d1", "energy": 2, "unit": 3, "ts": now()}, []),
        ({"device": "d1", "energy": None, "unit": 3, "ts": now()}, [("PAYLOAD_NOT_UNDERSTOOD", "unit")]),
        ({"device": "d1", "energy": 2, "unit": 3, "ts": 7}, [("EVENT_TIME_OUT_OF_RANGE", "eventTime")]),
    ):
        request = pb.TestPayloadRequest(format="ep1", payload=body(content))
        answer = await world.payloads.TestPayload(request, metadata=world.me)
        found = [(error.reason, error.field) for error in answer.errors]
        assert [reason for reason, _ in found] == [reason for reason, _ in errors]
        assert len(answer.readings) == (0 if errors else 1)
    assert await world.footprint() == before
