"""Counter rules: kept in the catalogue, refused where they make no sense, carried by every batch as they are now."""

import asyncio
import time
from collections.abc import AsyncIterator

import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import InvalidArgument
from services.chassis.grpc.status import unpack
from services.chassis.nats.topology import READINGS, readings_subject
from services.ingestion.domain.series import SeriesKey, partition_of
from tests.integration.ingestion.conftest import World, started
from tests.support.eventually import eventually
from tests.support.nats import NatsServer
from tocsin.events.v1 import readings_pb2
from tocsin.ingestion.v1 import catalogue_pb2, reading_pb2, reading_service_pb2
from tocsin.ingestion.v1 import catalogue_service_pb2 as pb

Rules = catalogue_pb2.CounterRules


async def sent(world: World, device: str, sensor_type: str = "energy") -> readings_pb2.SeriesDescriptor:
    """Sends a reading; how its batch describes the series."""
    item = reading_pb2.Reading(building="b1", room="r1", sensor_type=sensor_type, device=device, value=1)
    await world.readings.CreateReading(reading_service_pb2.CreateReadingRequest(reading=item), metadata=world.me)
    partition = partition_of(SeriesKey("b1", "r1", sensor_type, device), 8)
    subject = readings_subject(partition)
    message = await world.nats.js.get_last_msg(READINGS, subject)
    while True:
        batch = readings_pb2.ReadingBatch.FromString(message.data or b"")
        if message.subject == subject and batch.series:
            return batch.series[0]
        # News of rules that it overtook.
        assert message.seq
        message = await world.nats.js.get_msg(READINGS, message.seq - 1)


async def news(world: World, count: int) -> list[readings_pb2.SeriesDescriptor]:
    """All changes of rules that the stream holds, once it holds so many; the same in every partition."""

    async def told() -> list[readings_pb2.SeriesDescriptor] | None:
        said: dict[int, list[readings_pb2.SeriesDescriptor]] = {partition: [] for partition in range(8)}
        state = (await world.nats.js.stream_info(READINGS)).state
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await world.nats.js.get_msg(READINGS, sequence)
            batch = readings_pb2.ReadingBatch.FromString(message.data or b"")
            assert message.subject == readings_subject(batch.partition)
            said[batch.partition] += batch.changed
        assert all(found == said[0] for found in said.values())
        assert len(said[0]) == count
        return said[0]

    return (await eventually(told)) or []


async def update_type(world: World, rules: Rules | None) -> catalogue_pb2.SensorType:
    entry = catalogue_pb2.SensorType(id="energy", counter_rules=rules)
    request = pb.UpdateSensorTypeRequest(sensor_type=entry, update_mask={"paths": ["counter_rules"]})
    return await world.catalogue.UpdateSensorType(request, metadata=world.me)


async def update_device(world: World, rules: Rules | None) -> catalogue_pb2.Device:
    entry = catalogue_pb2.Device(id="m1", counter_rules=rules)
    request = pb.UpdateDeviceRequest(device=entry, update_mask={"paths": ["counter_rules"]})
    return await world.catalogue.UpdateDevice(request, metadata=world.me)


async def test_a_signed_register_has_honest_bounds(world: World) -> None:
    signed = Rules(policy="ROLLOVER", register_size=65536)
    message = typed(signed, min_value=-32768, max_value=32767)
    made = await world.catalogue.CreateSensorType(message, metadata=world.me)
    assert made.counter_rules == signed


async def test_what_is_rounding_goes_with_the_rules(world: World) -> None:
    rules = Rules(policy="HOLD_THEN_RESET", rounding_ratio=0.01, rounding_amount=1000)
    assert (await update_type(world, rules)).counter_rules == rules
    found = await sent(world, "m1")
    assert (found.rounding_ratio, found.rounding_amount) == (0.01, 1000)
    own = Rules(policy="HOLD_THEN_RESET", rounding_amount=1)
    assert (await update_device(world, own)).counter_rules == own
    found = await sent(world, "m1")
    assert (found.rounding_ratio, found.rounding_amount) == (0, 1)


def carried(found: readings_pb2.SeriesDescriptor) -> tuple[int, float, float]:
    return found.counter_policy, found.register_size, found.max_increase_per_hour


async def test_a_batch_carries_the_rules_of_its_device_else_of_its_type_as_they_are_now(world: World) -> None:
    policies = readings_pb2.SeriesDescriptor
    assert carried(await sent(world, "m1")) == (policies.COUNTER_POLICY_UNSPECIFIED, 0, 0)
    changed = await update_type(world, Rules(policy="RESET", max_increase_per_hour=3500))
    assert changed.counter_rules == Rules(policy="RESET", max_increase_per_hour=3500)
    assert carried(await sent(world, "m1")) == (policies.RESET, 0, 3500)
    rolling = Rules(policy="ROLLOVER", register_size=100_000)
    assert (await update_device(world, rolling)).counter_rules == rolling
    assert carried(await sent(world, "m1")) == (policies.ROLLOVER, 100_000, 0)
    assert carried(await sent(world, "m2")) == (policies.RESET, 0, 3500)
    # The rules of a device are those of its own sensor type.
    assert carried(await sent(world, "m1", "water")) == (policies.COUNTER_POLICY_UNSPECIFIED, 0, 0)
    assert not (await update_device(world, None)).HasField("counter_rules")
    assert carried(await sent(world, "m1")) == (policies.RESET, 0, 3500)
    assert not (await update_type(world, None)).HasField("counter_rules")
    assert carried(await sent(world, "m1")) == (policies.COUNTER_POLICY_UNSPECIFIED, 0, 0)
    # No policy named is the default one.
    assert (await update_type(world, Rules())).counter_rules == Rules(policy="HOLD_THEN_RESET")


async def test_a_value_that_the_register_cannot_show_is_refused_alone_in_rows_and_in_columns(world: World) -> None:
    await sent(world, "m1")
    await update_device(world, Rules(policy="ROLLOVER", register_size=1000))
    values = (1000.5, 1000, 3, 5000)
    rows = [
        reading_pb2.Reading(building="b1", room="r1", sensor_type="energy", device="m1", value=value)
        for value in values
    ]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await world.readings.CreateReading(reading_service_pb2.CreateReadingRequest(reading=rows[0]), metadata=world.me)
    error = unpack(refusal.value)
    assert isinstance(error, InvalidArgument)
    assert [(one.field, one.reason) for one in error.violations] == [("value", "VALUE_OUT_OF_RANGE")]
    assert "registerSize" in error.violations[0].description
    now = time.time_ns() // 1000
    columns = reading_pb2.ReadingColumns(
        series=[reading_pb2.ReadingColumns.Series(building="b1", room="r1", sensor_type="energy", device="m1")],
        series_index=[0] * len(values),
        event_time_us=range(now - len(values), now),
        value=values,
    )
    requests = (
        reading_service_pb2.StreamReadingsRequest(
            sequence=1, readings=reading_service_pb2.StreamReadingsRequest.ReadingList(readings=rows)
        ),
        reading_service_pb2.StreamReadingsRequest(sequence=2, columns=columns),
    )

    async def stream() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        for request in requests:
            yield request

    async for answer in world.readings.StreamReadings(stream(), metadata=world.me):
        assert answer.accepted == 2, answer
        refused = [(found.index, found.reason, found.field) for found in answer.rejections]
        assert refused == [(0, "VALUE_OUT_OF_RANGE", "value"), (3, "VALUE_OUT_OF_RANGE", "value")]


async def test_changed_rules_are_told_once_and_readings_name_their_revision(world: World) -> None:
    policies = readings_pb2.SeriesDescriptor
    first = await sent(world, "m1")
    assert first.rules_revision > 0
    assert not first.own_counter_rules
    await update_type(world, Rules(policy="RESET"))
    (told,) = await news(world, 1)
    assert (told.building, told.room, told.sensor_type, told.device) == ("", "", "energy", "")
    assert (told.kind, told.unit, told.counter_policy) == (policies.COUNTER, "Wh", policies.RESET)
    carried = await sent(world, "m1")
    assert carried.rules_revision == told.rules_revision > first.rules_revision
    await update_device(world, Rules(policy="REJECT"))
    _, own = await news(world, 2)
    assert (own.sensor_type, own.device, own.counter_policy) == ("energy", "m1", policies.REJECT)
    assert own.own_counter_rules
    carried = await sent(world, "m1")
    assert (carried.rules_revision, carried.own_counter_rules) == (own.rules_revision, True)
    other = await sent(world, "m2")
    assert (other.rules_revision, other.own_counter_rules) == (own.rules_revision, False)
    # The same again is no news, nor is a limit of values.
    await update_type(world, Rules(policy="RESET"))
    await update_device(world, Rules(policy="REJECT"))
    entry = catalogue_pb2.SensorType(id="energy", max_value=1e9)
    request = pb.UpdateSensorTypeRequest(sensor_type=entry, update_mask={"paths": ["max_value"]})
    await world.catalogue.UpdateSensorType(request, metadata=world.me)
    entry = catalogue_pb2.SensorType(id="energy", expected_interval={"seconds": 60})
    request = pb.UpdateSensorTypeRequest(sensor_type=entry, update_mask={"paths": ["expected_interval"]})
    await world.catalogue.UpdateSensorType(request, metadata=world.me)
    await world.catalogue.DeleteDevice(pb.DeleteDeviceRequest(id="m1"), metadata=world.me)
    *before, interval, gone = await news(world, 4)
    assert before == [told, own]
    assert (interval.device, interval.expected_interval_us, interval.counter_policy) == ("", 60_000_000, policies.RESET)
    assert (gone.device, gone.own_counter_rules, gone.counter_policy) == ("m1", False, policies.RESET)
    assert own.rules_revision < interval.rules_revision < gone.rules_revision


async def test_a_change_without_a_broker_is_committed_and_told_later(
    ingestion_dsn: str, own_broker: NatsServer, issuer: DevIssuer
) -> None:
    async with started(ingestion_dsn, own_broker.url, issuer) as world:
        await asyncio.to_thread(own_broker.kill)
        changed = await update_type(world, Rules(policy="REJECT"))
        assert changed.counter_rules == Rules(policy="REJECT")
        again = await world.catalogue.GetSensorType(pb.GetSensorTypeRequest(id="energy"), metadata=world.me)
        assert again.counter_rules == Rules(policy="REJECT")
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: world.nats.healthy and not world.app.server.health.problems(), 20)
        (told,) = await news(world, 1)
        assert told.counter_policy == readings_pb2.SeriesDescriptor.REJECT


async def test_changes_at_the_same_time_have_an_order(world: World) -> None:
    made = [f"m{number}" for number in range(12)]
    for device in made:
        await sent(world, device)

    async def own(device: str) -> None:
        entry = catalogue_pb2.Device(id=device, counter_rules=Rules(policy="REJECT"))
        request = pb.UpdateDeviceRequest(device=entry, update_mask={"paths": ["counter_rules"]})
        await world.catalogue.UpdateDevice(request, metadata=world.me)

    types = [update_type(world, Rules(max_increase_per_hour=1 + at)) for at in range(4)]
    await asyncio.gather(*map(own, made), *types)
    found = await news(world, len(made) + len(types))
    revisions = [one.rules_revision for one in found]
    assert revisions == sorted(set(revisions))
    assert sorted(one.device for one in found if one.device) == sorted(made)
    newest = await sent(world, "other")
    assert newest.rules_revision == revisions[-1]
    assert newest.max_increase_per_hour == [one for one in found if not one.device][-1].max_increase_per_hour


async def test_another_replica_hears_of_changed_rules(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer) as one, started(ingestion_dsn, streams, issuer) as other:
        await sent(one, "m1")
        await sent(other, "m1")

        async def carries(world: World, device: str, policy: int) -> bool:
            return (await sent(world, device)).counter_policy == policy

        await update_device(one, Rules(policy="REJECT"))
        await eventually(lambda: carries(other, "m1", readings_pb2.SeriesDescriptor.REJECT), 5)
        await update_type(one, Rules(policy="RESET"))
        await eventually(lambda: carries(other, "m9", readings_pb2.SeriesDescriptor.RESET), 5)
        made = catalogue_pb2.Device(
            id="m2", building="b1", room="r1", sensor_type="energy", counter_rules=Rules(policy="REJECT")
        )
        await one.catalogue.CreateDevice(pb.CreateDeviceRequest(device=made), metadata=one.me)
        await eventually(lambda: carries(other, "m2", readings_pb2.SeriesDescriptor.REJECT), 5)


def typed(rules: Rules, **fields: object) -> pb.CreateSensorTypeRequest:
    entry = catalogue_pb2.SensorType(id="gas", unit="m3", **({"kind": "COUNTER"} | fields))  # pyright: ignore
    entry.counter_rules.CopyFrom(rules)
    return pb.CreateSensorTypeRequest(sensor_type=entry)


def owned(rules: Rules, sensor_type: str = "energy") -> pb.UpdateDeviceRequest:
    return pb.UpdateDeviceRequest(
        device=catalogue_pb2.Device(id="m1", sensor_type=sensor_type, counter_rules=rules),
    )


@pytest.mark.parametrize(
    ("method", "message", "field", "said"),
    [
        ("CreateSensorType", typed(Rules(policy="ROLLOVER")), "sensorType.counterRules.registerSize", "required"),
        ("CreateSensorType", typed(Rules(register_size=9)), "sensorType.counterRules.registerSize", "ROLLOVER only"),
        (
            "CreateSensorType",
            typed(Rules(policy="ROLLOVER", register_size=10), max_value=8),
            "sensorType.counterRules.registerSize",
            "maxValue",
        ),
        (
            "CreateSensorType",
            typed(Rules(policy="ROLLOVER", register_size=9), min_value=9),
            "sensorType.counterRules.registerSize",
            "minValue",
        ),
        (
            "CreateSensorType",
            typed(Rules(policy="ROLLOVER", register_size=65537), min_value=-32768, max_value=32767),
            "sensorType.counterRules.registerSize",
            "maxValue - minValue + 1",
        ),
        ("CreateSensorType", typed(Rules(rounding_ratio=0.2)), "sensorType.counterRules.roundingRatio", ""),
        ("UpdateDevice", owned(Rules(rounding_amount=-1)), "device.counterRules.roundingAmount", ""),
        ("CreateSensorType", typed(Rules(), kind="GAUGE"), "sensorType.counterRules", "COUNTER only"),
        ("CreateSensorType", typed(Rules(policy=9)), "sensorType.counterRules.policy", ""),  # pyright: ignore
        (
            "CreateSensorType",
            typed(Rules(max_increase_per_hour=-1)),
            "sensorType.counterRules.maxIncreasePerHour",
            "",
        ),
        ("UpdateDevice", owned(Rules(policy="ROLLOVER")), "device.counterRules.registerSize", "required"),
        ("UpdateDevice", owned(Rules(max_increase_per_hour=-1)), "device.counterRules.maxIncreasePerHour", ""),
        ("UpdateDevice", owned(Rules(), "temperature"), "device.counterRules", "COUNTER only"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(
    world: World, method: str, message: object, field: str, said: str
) -> None:
    await sent(world, "m1")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await getattr(world.catalogue, method)(message, metadata=world.me)
    error = unpack(refusal.value)
    assert isinstance(error, InvalidArgument)
    assert [said in violation.description for violation in error.violations if violation.field == field] == [True]
