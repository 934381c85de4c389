import time

import grpc.aio
import pytest
from nats.aio.msg import Msg

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import AlreadyExists, DomainError, FailedPrecondition, InvalidArgument, NotFound
from services.chassis.grpc.status import unpack
from services.chassis.nats.topology import COUNTING_VALUES_SUBJECT, READINGS
from tests.integration.ingestion.conftest import World, started
from tests.support.eventually import eventually
from tests.support.nats import NatsServer
from tocsin.calls.v1.counting_values_pb2 import CountingValue, CountingValuesRequest, CountingValuesResponse
from tocsin.events.v1.readings_pb2 import ReadingBatch
from tocsin.ingestion.v1 import catalogue_pb2, reading_pb2, reading_service_pb2
from tocsin.ingestion.v1 import catalogue_service_pb2 as pb

SEEDED = {"temperature", "humidity", "co2", "pressure", "illuminance", "power", "energy", "water", "filling_level"}
NOISE = catalogue_pb2.SensorType(
    id="noise", kind="GAUGE", unit="dB", min_value=0, max_value=194, repeat_policy="FIRST_WINS"
)


async def failure(call: object) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call  # pyright: ignore
    return unpack(refusal.value)


async def send(world: World, sensor_type: str, value: float, unit: str = "") -> None:
    item = reading_pb2.Reading(building="b1", room="r1", sensor_type=sensor_type, value=value, unit=unit)
    await world.readings.CreateReading(reading_service_pb2.CreateReadingRequest(reading=item), metadata=world.me)


async def test_well_known_sensor_types_are_there(world: World) -> None:
    page = await world.catalogue.ListSensorTypes(pb.ListSensorTypesRequest(), metadata=world.me)
    assert {entry.id for entry in page.sensor_types} == SEEDED
    temperature = next(entry for entry in page.sensor_types if entry.id == "temperature")
    assert (temperature.unit, temperature.min_value, temperature.HasField("max_value")) == ("K", 0.0, False)


async def test_a_new_sensor_type_takes_readings_at_once(world: World) -> None:
    assert (await failure(send(world, "noise", 40))).reason == "SENSOR_TYPE_UNKNOWN"
    created = await world.catalogue.CreateSensorType(pb.CreateSensorTypeRequest(sensor_type=NOISE), metadata=world.me)
    assert created == NOISE
    await send(world, "noise", 40)
    lower = pb.UpdateSensorTypeRequest(
        sensor_type=catalogue_pb2.SensorType(id="noise", max_value=30), update_mask={"paths": ["max_value"]}
    )
    changed = await world.catalogue.UpdateSensorType(lower, metadata=world.me)
    assert (changed.max_value, changed.unit) == (30.0, "dB")
    assert (await failure(send(world, "noise", 40))).reason == "VALUE_OUT_OF_RANGE"
    cleared = pb.UpdateSensorTypeRequest(
        sensor_type=catalogue_pb2.SensorType(id="noise"), update_mask={"paths": ["max_value"]}
    )
    assert not (await world.catalogue.UpdateSensorType(cleared, metadata=world.me)).HasField("max_value")
    error = await failure(
        world.catalogue.UpdateSensorType(
            pb.UpdateSensorTypeRequest(sensor_type=catalogue_pb2.SensorType(id="noise", unit="B")), metadata=world.me
        )
    )
    assert isinstance(error, FailedPrecondition)
    assert error.reason == "IN_USE"


async def test_which_of_two_values_counts_is_a_matter_of_the_sensor_type(world: World) -> None:
    await world.catalogue.CreateSensorType(pb.CreateSensorTypeRequest(sensor_type=NOISE), metadata=world.me)
    at = time.time_ns() // 1000 - 60_000_000

    async def sent(value: float) -> reading_pb2.ReadingConflict | None:
        item = reading_pb2.Reading(building="b", room="r", sensor_type="noise", value=value)
        item.event_time.FromMicroseconds(at)
        answer = await world.readings.CreateReading(
            reading_service_pb2.CreateReadingRequest(reading=item), metadata=world.me
        )
        return answer.conflict if answer.HasField("conflict") else None

    async def answer(message: Msg) -> None:
        asked = CountingValuesRequest.FromString(message.data)
        nothing = [CountingValue(stored=False) for _ in asked.readings]
        await message.respond(CountingValuesResponse(values=nothing).SerializeToString())

    # In place of aggregation, which has stored nothing.
    answers = await world.nats.nc.subscribe(COUNTING_VALUES_SUBJECT, cb=answer)
    await world.nats.nc.flush()
    assert await sent(40) is None
    assert await sent(40) is None
    first = await sent(50)
    assert first == reading_pb2.ReadingConflict(outcome="IGNORED", counting_value=40, other_value=50)
    last = catalogue_pb2.SensorType(id="noise", repeat_policy="LAST_WINS")
    changed = await world.catalogue.UpdateSensorType(pb.UpdateSensorTypeRequest(sensor_type=last), metadata=world.me)
    assert changed.repeat_policy == catalogue_pb2.SensorType.LAST_WINS
    at += 1
    assert await sent(40) is None
    second = await sent(50)
    assert second == reading_pb2.ReadingConflict(outcome="SUPERSEDES", counting_value=50, other_value=40)
    # Nobody knows what counts: nothing is told.
    await answers.unsubscribe()
    await world.nats.nc.flush()
    assert await sent(60) is None


async def test_another_replica_hears_of_changes(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with (
        started(ingestion_dsn, streams, issuer) as one,
        started(ingestion_dsn, streams, issuer) as other,
    ):
        await one.catalogue.CreateSensorType(pb.CreateSensorTypeRequest(sensor_type=NOISE), metadata=one.me)

        async def accepted() -> bool:
            try:
                await send(other, "noise", 1)
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(accepted, 5)


async def test_pages_follow_each_other(world: World) -> None:
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListSensorTypesRequest(page_size=4, page_token=token)
        page = await world.catalogue.ListSensorTypes(request, metadata=world.me)
        seen += [entry.id for entry in page.sensor_types]
        token = page.next_page_token
        if not token:
            break
        assert len(page.sensor_types) == 4
        error = await failure(
            world.catalogue.ListBuildings(pb.ListBuildingsRequest(page_token=token), metadata=world.me)
        )
        assert error.reason == "PAGE_TOKEN_INVALID"
    assert seen == sorted(SEEDED)


@pytest.mark.parametrize(
    ("method", "request_message", "kind", "field"),
    [
        ("CreateSensorType", pb.CreateSensorTypeRequest(), InvalidArgument, "sensorType"),
        (
            "CreateSensorType",
            pb.CreateSensorTypeRequest(sensor_type=catalogue_pb2.SensorType(id="a.b", kind="GAUGE", unit="K")),
            InvalidArgument,
            "sensorType.id",
        ),
        (
            "CreateSensorType",
            pb.CreateSensorTypeRequest(sensor_type=catalogue_pb2.SensorType(id="ab", unit="K")),
            InvalidArgument,
            "sensorType.kind",
        ),
        (
            "CreateSensorType",
            pb.CreateSensorTypeRequest(
                sensor_type=catalogue_pb2.SensorType(id="ab", kind="GAUGE", unit="K", min_value=2, max_value=1)
            ),
            InvalidArgument,
            "sensorType.minValue",
        ),
        (
            "CreateSensorType",
            pb.CreateSensorTypeRequest(
                sensor_type=catalogue_pb2.SensorType(
                    id="ab", kind="GAUGE", unit="K", expected_interval={"seconds": 10**11}
                )
            ),
            InvalidArgument,
            "sensorType.expectedInterval",
        ),
        (
            "UpdateSensorType",
            pb.UpdateSensorTypeRequest(
                sensor_type=catalogue_pb2.SensorType(id="energy"), update_mask={"paths": ["unit"]}
            ),
            InvalidArgument,
            "sensorType.unit",
        ),
        (
            "UpdateSensorType",
            pb.UpdateSensorTypeRequest(
                sensor_type=catalogue_pb2.SensorType(id="energy"), update_mask={"paths": ["nonsense"]}
            ),
            InvalidArgument,
            "updateMask",
        ),
        (
            "CreateBuilding",
            pb.CreateBuildingRequest(building=catalogue_pb2.Building(id="b", attributes={"x": "a\0b"})),
            InvalidArgument,
            "building.attributes",
        ),
        (
            "CreateBuilding",
            pb.CreateBuildingRequest(building=catalogue_pb2.Building(id="b", attributes={"x": "a" * 1001})),
            InvalidArgument,
            None,
        ),
        (
            "UpdateSensorType",
            pb.UpdateSensorTypeRequest(sensor_type=catalogue_pb2.SensorType(id="a\0", unit="K")),
            InvalidArgument,
            "sensorType.id",
        ),
        (
            "UpdateBuilding",
            pb.UpdateBuildingRequest(building=catalogue_pb2.Building(id="a.b", attributes={"x": "y"})),
            InvalidArgument,
            "building.id",
        ),
        ("UpdateRoom", pb.UpdateRoomRequest(room=catalogue_pb2.Room(id="r")), InvalidArgument, "room.building"),
        ("UpdateRoom", pb.UpdateRoomRequest(room=catalogue_pb2.Room(building="b")), InvalidArgument, "room.id"),
        ("UpdateDevice", pb.UpdateDeviceRequest(), InvalidArgument, "device.id"),
        ("CreateRoom", pb.CreateRoomRequest(room=catalogue_pb2.Room(building="b", id="r")), NotFound, None),
        ("GetRoom", pb.GetRoomRequest(building="b", id="*"), InvalidArgument, "id"),
        ("GetBuilding", pb.GetBuildingRequest(id="b"), NotFound, None),
        ("DeleteDevice", pb.DeleteDeviceRequest(id="b"), NotFound, None),
        ("ListRooms", pb.ListRoomsRequest(building="b"), NotFound, None),
        ("ListDevices", pb.ListDevicesRequest(page_token="\0"), InvalidArgument, "pageToken"),
        ("ListDevices", pb.ListDevicesRequest(page_size=-1), InvalidArgument, "pageSize"),
    ],
)
async def test_bad_requests_are_refused_and_change_nothing(
    world: World, method: str, request_message: object, kind: type[DomainError], field: str | None
) -> None:
    before = await world.footprint()
    error = await failure(getattr(world.catalogue, method)(request_message, metadata=world.me))
    assert isinstance(error, kind), error
    if field is not None:
        assert isinstance(error, InvalidArgument)
        assert field in [v.field for v in error.violations]
    assert await world.footprint() == before


async def test_what_is_taken_or_used_says_so(world: World) -> None:
    building = pb.CreateBuildingRequest(building=catalogue_pb2.Building(id="b1", attributes={"customer": "ACME"}))
    created = await world.catalogue.CreateBuilding(building, metadata=world.me)
    assert created.create_time.seconds > 0
    assert isinstance(await failure(world.catalogue.CreateBuilding(building, metadata=world.me)), AlreadyExists)
    await send(world, "temperature", 300)
    error = await failure(world.catalogue.DeleteBuilding(pb.DeleteBuildingRequest(id="b1"), metadata=world.me))
    assert (error.reason, error.metadata["usedBy"]) == ("IN_USE", "rooms")
    await world.catalogue.DeleteRoom(pb.DeleteRoomRequest(building="b1", id="r1"), metadata=world.me)
    await world.catalogue.DeleteBuilding(pb.DeleteBuildingRequest(id="b1"), metadata=world.me)
    await send(world, "temperature", 300)
    found = await world.catalogue.GetBuilding(pb.GetBuildingRequest(id="b1"), metadata=world.me)
    assert dict(found.attributes) == {}, "a reading registered it anew"


async def test_readings_register_as_many_places_as_the_deployment_allows(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    async with started(ingestion_dsn, streams, issuer, max_auto_registered=1) as world:
        await send(world, "temperature", 300)
        before = await world.footprint()
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            item = reading_pb2.Reading(building="b2", room="r1", sensor_type="temperature", value=300)
            await world.readings.CreateReading(
                reading_service_pb2.CreateReadingRequest(reading=item), metadata=world.me
            )
        assert refusal.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        error = unpack(refusal.value)
        assert error.reason == "REGISTRATION_LIMIT"
        setting = "TOCSIN_INGESTION_MAX_AUTO_REGISTERED"
        assert error.metadata == {"kind": "building", "id": "b2", "limit": "1", "setting": setting}
        assert await world.footprint() == before
        await send(world, "temperature", 301)


async def test_a_closed_catalogue_takes_what_it_knows_only(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer, auto_register=False) as world:
        before = await world.footprint()
        error = await failure(send(world, "temperature", 300))
        assert isinstance(error, NotFound)
        assert error.metadata == {"id": "b1", "kind": "building"}
        assert await world.footprint() == before
        await world.catalogue.CreateBuilding(
            pb.CreateBuildingRequest(building=catalogue_pb2.Building(id="b1")), metadata=world.me
        )
        await world.catalogue.CreateRoom(
            pb.CreateRoomRequest(room=catalogue_pb2.Room(building="b1", id="r1")), metadata=world.me
        )
        await send(world, "temperature", 300)


async def test_a_start_tells_only_what_nobody_has_been_told(
    ingestion_dsn: str, own_broker: NatsServer, issuer: DevIssuer
) -> None:
    async def told(world: World) -> list[str]:
        state = (await world.nats.js.stream_info(READINGS)).state
        found: list[str] = []
        for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
            message = await world.nats.js.get_msg(READINGS, sequence)
            batch = ReadingBatch.FromString(message.data or b"")
            assert batch.partition == 0
            found += [one.sensor_type for one in batch.sensor_types]
        return sorted(found)

    async with started(ingestion_dsn, own_broker.url, issuer) as world:
        assert await told(world) == sorted(SEEDED)
        await world.catalogue.CreateSensorType(pb.CreateSensorTypeRequest(sensor_type=NOISE), metadata=world.me)
        known = sorted([*SEEDED, "noise"])
        assert await told(world) == known
    async with started(ingestion_dsn, own_broker.url, issuer) as world:
        assert await told(world) == known
        async with world.database.connection() as connection:
            # As a migration would.
            await connection.execute("UPDATE sensor_types SET max_value = 200 WHERE id = 'noise'")
    async with started(ingestion_dsn, own_broker.url, issuer) as world:
        assert await told(world) == sorted([*known, "noise"])
