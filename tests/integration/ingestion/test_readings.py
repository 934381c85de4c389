import asyncio
import math
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import grpc.aio
import numpy as np
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import AlreadyExists, DomainError, InvalidArgument, NotFound, Unavailable
from services.chassis.grpc.status import unpack
from services.chassis.nats import NatsConnection
from services.chassis.nats.topology import READINGS
from services.ingestion.domain.series import SeriesKey, partition_of
from tests.integration.ingestion.conftest import World, started
from tests.support.eventually import eventually
from tests.support.nats import NatsServer
from tocsin.events.v1 import readings_pb2
from tocsin.ingestion.v1 import reading_pb2, reading_service_pb2

Reading = reading_pb2.Reading


def reading(**changes: object) -> Reading:
    fields = {"building": "b1", "room": "r1", "sensor_type": "temperature", "value": 21.5, "unit": "C"} | changes
    return Reading(**fields)  # pyright: ignore


async def failure(call: object) -> DomainError:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call  # pyright: ignore
    return unpack(refusal.value)


async def stored(nats: NatsConnection) -> list[tuple[str, str, int, float, str]]:
    """(room, device, event time, value, unit) of all readings in the stream."""
    found: list[tuple[str, str, int, float, str]] = []
    state = (await nats.js.stream_info(READINGS)).state
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await nats.js.get_msg(READINGS, sequence)
        batch = readings_pb2.ReadingBatch.FromString(message.data or b"")
        assert message.subject == f"tocsin.readings.v1.{batch.partition}"
        for at, event_time_us, value in zip(batch.series_index, batch.event_time_us, batch.value, strict=True):
            one = batch.series[at]
            assert partition_of(SeriesKey(one.building, one.room, one.sensor_type, one.device), 8) == batch.partition
            found.append((one.room, one.device, event_time_us, value, one.unit))
    return found


async def create(world: World, item: Reading, key: str = "") -> reading_service_pb2.CreateReadingResponse:
    request = reading_service_pb2.CreateReadingRequest(reading=item, idempotency_key=key)
    return await world.readings.CreateReading(request, metadata=world.me)


async def test_one_reading_is_durable_when_it_is_answered(world: World) -> None:
    item = reading(device="d1")
    item.event_time.FromDatetime(datetime.now(UTC))
    answer = await create(world, item)
    assert not answer.duplicate
    assert answer.reading.unit == "K"
    assert answer.reading.value == pytest.approx(294.65)
    at = item.event_time.ToMicroseconds()
    assert answer.reading.event_time.ToMicroseconds() == at
    assert await stored(world.nats) == [("r1", "d1", at, answer.reading.value, "K")]
    async with world.database.connection() as connection:
        rooms = await connection.fetch("SELECT building, id FROM rooms")
        assert [tuple(row) for row in rooms] == [("b1", "r1")]


async def test_without_an_event_time_it_is_now(world: World) -> None:
    before = time.time_ns() // 1000
    answer = await create(world, reading())
    assert before <= answer.reading.event_time.ToMicroseconds() <= time.time_ns() // 1000


async def test_many_at_once_go_in_few_messages(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer, linger="50ms") as world:
        answers = await asyncio.gather(*(create(world, reading(room=f"r{n % 50}", value=float(n))) for n in range(500)))
        rows = await stored(world.nats)
        assert sorted((a.reading.room, a.reading.value) for a in answers) == sorted((r[0], r[3]) for r in rows)
        assert (await world.nats.js.stream_info(READINGS)).state.messages < 250


HOSTILE = ["b.1", "b 1", "*", ">", "b>", "'", '"', "a/b", "\0", "b\0", "x" * 64, "-b", "ü", "a\n", "' OR 1=1 --"]


@pytest.mark.parametrize("field", ["building", "room", "sensor_type", "device"])
async def test_hostile_ids_are_refused_by_name_and_change_nothing(world: World, field: str) -> None:
    before = await world.footprint()
    for text in HOSTILE:
        error = await failure(create(world, reading(**{field: text})))
        assert isinstance(error, InvalidArgument)
        expected = {"sensor_type": "reading.sensorType"}.get(field, f"reading.{field}")
        assert [v.field for v in error.violations] == [expected]
    batch = reading_service_pb2.BatchCreateReadingsRequest(readings=[reading(**{field: text}) for text in HOSTILE])
    answer = await world.readings.BatchCreateReadings(batch, metadata=world.me)
    assert answer.accepted == 0
    assert {(r.reason, r.field) for r in answer.rejections} == {
        ("INVALID_FIELD", {"sensor_type": "sensorType"}.get(field, field))
    }
    assert await world.footprint() == before


@pytest.mark.parametrize(
    ("changes", "kind", "reason", "field"),
    [
        ({"building": ""}, InvalidArgument, "INVALID_FIELD", "reading.building"),
        ({"sensor_type": ""}, InvalidArgument, "INVALID_FIELD", "reading.sensorType"),
        ({"value": None}, InvalidArgument, "INVALID_FIELD", "reading.value"),
        ({"value": math.nan}, InvalidArgument, "INVALID_FIELD", "reading.value"),
        ({"value": -math.inf}, InvalidArgument, "INVALID_FIELD", "reading.value"),
        ({"unit": "x" * 17}, InvalidArgument, "INVALID_FIELD", "reading.unit"),
        ({"value": -273.16}, InvalidArgument, "VALUE_OUT_OF_RANGE", "value"),
        ({"unit": "kWh"}, InvalidArgument, "UNIT_UNKNOWN", "unit"),
        ({"sensor_type": "noise"}, NotFound, "SENSOR_TYPE_UNKNOWN", "sensorType"),
        ({"sensor_type": "humidity", "unit": "%", "value": 100.1}, InvalidArgument, "VALUE_OUT_OF_RANGE", "value"),
        ({"event_time": {"seconds": 4_000_000_000}}, InvalidArgument, "EVENT_TIME_OUT_OF_RANGE", "eventTime"),
        ({"event_time": {"seconds": 0}}, InvalidArgument, "EVENT_TIME_OUT_OF_RANGE", "eventTime"),
        ({"event_time": {"seconds": 2**62}}, InvalidArgument, "EVENT_TIME_OUT_OF_RANGE", "eventTime"),
    ],
)
async def test_a_bad_reading_is_refused_precisely_and_changes_nothing(
    world: World, changes: dict[str, object], kind: type[DomainError], reason: str, field: str
) -> None:
    before = await world.footprint()
    error = await failure(create(world, reading(**({"room": "r9"} | changes)), "key"))
    assert isinstance(error, kind)
    assert error.reason == reason
    assert [v.field for v in error.violations] == [field]
    assert await world.footprint() == before
    batch = reading_service_pb2.BatchCreateReadingsRequest(readings=[reading(**({"room": "r9"} | changes))])
    answer = await world.readings.BatchCreateReadings(batch, metadata=world.me)
    assert [found.reason for found in answer.rejections] == [reason]
    assert await world.footprint() == before


async def test_a_token_without_the_scope_is_refused(world: World) -> None:
    before = await world.footprint()
    request = reading_service_pb2.CreateReadingRequest(reading=reading())
    error = await failure(world.readings.CreateReading(request, metadata=world.as_user("me", ("readings:read",))))
    assert error.reason == "SCOPE_MISSING"
    assert await world.footprint() == before


async def test_a_key_counts_once_for_its_caller(world: World) -> None:
    first = await create(world, reading(), "key-1")
    again = await create(world, reading(), "key-1")
    assert (first.duplicate, again.duplicate) == (False, True)
    assert again.reading == first.reading
    error = await failure(create(world, reading(value=3.0), "key-1"))
    assert isinstance(error, AlreadyExists)
    assert error.reason == "IDEMPOTENCY_CONFLICT"
    assert len(await stored(world.nats)) == 1
    bad = await failure(create(world, reading(), "key\n\x00"))
    assert isinstance(bad, InvalidArgument)


async def test_a_key_left_behind_by_a_crash_is_taken_up(world: World) -> None:
    await create(world, reading(), "key-1")
    async with world.database.connection() as connection:
        await connection.execute("UPDATE idempotency_keys SET done = false")
    again = await create(world, reading(), "key-1")
    assert again.duplicate
    assert len(await stored(world.nats)) == 1, "the same Nats-Msg-Id is stored once"


async def test_concurrent_calls_with_one_key_have_one_effect(world: World) -> None:
    answers = await asyncio.gather(*(create(world, reading(), "key-1") for _ in range(20)))
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len({answer.reading.SerializeToString() for answer in answers}) == 1
    assert len(await stored(world.nats)) == 1


async def test_an_import_reports_by_line(world: World) -> None:
    async def lines() -> AsyncIterator[Reading]:
        for number in range(3000):
            yield reading(room=f"r{number % 10}", value=-300.0 if number == 1234 else float(number % 40))

    answer = await world.readings.ImportReadings(lines(), metadata=world.me)
    assert (answer.accepted, answer.rejected) == (2999, 1)
    assert [(r.index, r.reason, r.field) for r in answer.rejections] == [(1234, "VALUE_OUT_OF_RANGE", "value")]
    assert len(await stored(world.nats)) == 2999


def columns(rows: int, start: int = 0, now: int | None = None) -> reading_pb2.ReadingColumns:
    """`now` in microseconds: batches that are made later must not meet the event times of others."""
    now = now or time.time_ns() // 1000
    table = [
        reading_pb2.ReadingColumns.Series(building="b1", room=f"r{n}", sensor_type="temperature", unit="C")
        for n in range(20)
    ]
    return reading_pb2.ReadingColumns(
        series=table,
        series_index=[n % 20 for n in range(rows)],
        event_time_us=[now - start - n for n in range(rows)],
        value=[float(n % 40) for n in range(rows)],
    )


async def test_a_stream_acknowledges_batches_in_order(world: World) -> None:
    now = time.time_ns() // 1000

    async def batches() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        for number in range(30):
            if number % 3 == 2:
                rows = [reading(room="rows", value=float(number)), reading(value=-300.0), reading(sensor_type="noise")]
                yield reading_service_pb2.StreamReadingsRequest(
                    sequence=number, readings=reading_service_pb2.StreamReadingsRequest.ReadingList(readings=rows)
                )
                continue
            batch = columns(1000, number * 1000, now)
            if number == 3:
                batch.value[7] = math.nan
                batch.value[8] = -300.0
                batch.event_time_us[9] = 5
                batch.series_index[10] = 99
                batch.series[1].sensor_type = "noise"
                batch.series[2].room = "a.*"
                batch.series[4].unit = "x" * 100_000
            yield reading_service_pb2.StreamReadingsRequest(sequence=number, columns=batch)

    answers = [answer async for answer in world.readings.StreamReadings(batches(), metadata=world.me)]
    assert [answer.sequence for answer in answers] == list(range(30))
    assert [a.accepted for a in answers if a.sequence % 3 == 2] == [1] * 10
    assert [(r.index, r.reason) for r in answers[2].rejections] == [
        (1, "VALUE_OUT_OF_RANGE"),
        (2, "SENSOR_TYPE_UNKNOWN"),
    ]
    odd = {r.index: (r.reason, r.field) for r in answers[3].rejections}
    assert odd[7] == ("INVALID_FIELD", "value")
    assert odd[8] == ("VALUE_OUT_OF_RANGE", "value")
    assert odd[9] == ("EVENT_TIME_OUT_OF_RANGE", "eventTime")
    assert odd[10] == ("INVALID_FIELD", "seriesIndex")
    assert {n for n, why in odd.items() if why == ("SENSOR_TYPE_UNKNOWN", "sensorType")} == set(range(1, 1000, 20))
    assert {n for n, why in odd.items() if why == ("INVALID_FIELD", "room")} == set(range(2, 1000, 20))
    assert {n for n, why in odd.items() if why == ("UNIT_UNKNOWN", "unit")} == set(range(4, 1000, 20))
    rows = await stored(world.nats)
    assert len(rows) == sum(answer.accepted for answer in answers) == 20 * 1000 - 154 + 10
    assert all(273.15 <= value < 315 for *_, value, _ in rows)


async def test_a_stream_registers_only_series_with_accepted_rows(world: World) -> None:
    first = columns(40)
    first.value[:] = [-300.0 if n % 20 else 20.0 for n in range(40)]
    second = columns(40, 40)
    requests = [reading_service_pb2.StreamReadingsRequest(sequence=n, columns=c) for n, c in ((0, first), (1, second))]

    async def rooms() -> int:
        async with world.database.connection() as connection:
            return await connection.fetchval("SELECT count(*) FROM rooms")

    async def send(*batches: reading_service_pb2.StreamReadingsRequest) -> list[int]:
        async def stream() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
            for batch in batches:
                yield batch

        return [answer.accepted async for answer in world.readings.StreamReadings(stream(), metadata=world.me)]

    assert await send(requests[0]) == [2]
    assert await rooms() == 1
    assert await send(*requests) == [2, 40]
    assert await rooms() == 20


async def test_a_stream_tells_of_rejections_what_single_calls_do(world: World) -> None:
    incomplete = reading(building="a.*", room="", device="-d")
    incomplete.ClearField("value")
    unknown = reading(sensor_type="noise", unit="x" * 17)
    unknown.ClearField("value")
    bad = [
        *(reading(value=value) for value in (-300.0, float("nan"), float("inf"))),
        *(reading(sensor_type=name) for name in ("noise", "", "a b")),
        *(reading(building="a.*"), reading(room=""), reading(device="-d"), reading(unit="kWh"), reading(unit="x" * 17)),
        *(reading(sensor_type="noise", value=float("nan")), unknown, incomplete),
    ]
    request = reading_service_pb2.StreamReadingsRequest(
        explain=True,
        readings=reading_service_pb2.StreamReadingsRequest.ReadingList(readings=[bad[0], reading(), *bad[1:]]),
    )

    async def stream() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        yield request

    (answer,) = [answer async for answer in world.readings.StreamReadings(stream(), metadata=world.me)]
    assert [found.index for found in answer.rejections] == [0, *range(2, len(bad) + 1)]
    for item, told in zip(bad, answer.rejections, strict=True):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await create(world, item)
        alone = unpack(refusal.value)
        assert (told.code, told.reason, told.metadata) == (refusal.value.code().value[0], alone.reason, alone.metadata)
        expected = [(v.field.removeprefix("reading."), v.reason, v.description) for v in alone.violations]
        if told.reason == "INVALID_FIELD":
            assert [(v.field, v.rule, v.message) for v in told.violations] == expected
        else:
            assert [(told.field, told.reason, told.message)] == expected
            assert not told.violations
        opening = f"{told.field}: " if isinstance(alone, InvalidArgument) else ""
        assert alone.message.removeprefix("reading.") == opening + told.message
    assert len(answer.rejections[-1].violations) == 4


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (lambda c: c.columns.value.pop(), "columns.seriesIndex"),
        (lambda c: c.columns.event_time_us.append(1), "columns.eventTimeUs"),
        (lambda c: c.columns.ClearField("series"), "columns.series"),
        (lambda c: c.columns.CopyFrom(reading_pb2.ReadingColumns()), "columns.value"),
        (lambda c: c.readings.CopyFrom(type(c.readings)()), "readings.readings"),
        (lambda c: c.readings.readings.extend([reading()] * 10_001), "readings.readings"),
        (lambda c: c.ClearField("columns"), "batch"),
    ],
)
async def test_a_broken_batch_ends_its_stream_after_the_good_ones(world: World, spoil: object, field: str) -> None:
    async def batches() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        yield reading_service_pb2.StreamReadingsRequest(sequence=1, columns=columns(10))
        bad = reading_service_pb2.StreamReadingsRequest(sequence=2, columns=columns(10, 100))
        spoil(bad)  # pyright: ignore
        yield bad

    answers: list[int] = []
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        async for answer in world.readings.StreamReadings(batches(), metadata=world.me):
            answers += [answer.sequence]
    error = unpack(refusal.value)
    assert isinstance(error, InvalidArgument)
    assert [v.field for v in error.violations] == [field]
    assert answers == [1]
    assert len(await stored(world.nats)) == 10


async def test_a_client_that_goes_away_leaves_the_service_well(world: World) -> None:
    async def batches() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        number = 0
        while True:
            number += 1
            yield reading_service_pb2.StreamReadingsRequest(sequence=number, columns=columns(5000, number * 5000))

    call = world.readings.StreamReadings(batches(), metadata=world.me)
    assert (await call.read()).sequence == 1
    call.cancel()
    await create(world, reading())


async def test_without_the_broker_callers_hear_it_soon_and_it_recovers(
    ingestion_dsn: str, own_broker: NatsServer, issuer: DevIssuer
) -> None:
    quick = {"publish_timeout": "300ms", "admission_timeout": "200ms", "max_pending": "1MiB", "max_batch_size": "64KiB"}
    async with started(ingestion_dsn, own_broker.url, issuer, **quick) as world:
        await create(world, reading())
        before = await stored(world.nats)
        await asyncio.to_thread(own_broker.kill)
        began = time.monotonic()
        errors = await asyncio.gather(*(failure(create(world, reading(value=float(n)))) for n in range(50)))
        assert time.monotonic() - began < 5
        for error in errors:
            assert isinstance(error, Unavailable)
            assert error.reason == "STREAM_UNAVAILABLE"
            assert error.retry_after
        began = time.monotonic()
        await failure(create(world, reading()))
        assert time.monotonic() - began < 0.25, "once it is known to be away, nobody waits for it"
        await eventually(lambda: "nats" in world.app.server.health.problems())
        await asyncio.to_thread(own_broker.start)
        await eventually(lambda: world.nats.healthy and not world.app.server.health.problems())
        await create(world, reading(room="after"))
        rows = await stored(world.nats)
        assert rows[: len(before)] == before
        assert [row[0] for row in rows[len(before) :]] == ["after"], "what was refused was not kept"


async def test_a_stop_finishes_what_was_taken(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer) as world:
        await create(world, reading())
        calls = [asyncio.ensure_future(create(world, reading(value=float(n)))) for n in range(200)]
        await asyncio.sleep(0)
        await world.app.stop()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        done = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert done
        assert len(await stored(world.nats)) == 1 + len(done), "answered and stored are the same"
        for outcome in outcomes:
            if isinstance(outcome, grpc.aio.AioRpcError):
                # gRPC itself cancels what arrived but had not been taken up.
                assert outcome.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_columns_are_what_numpy_says(world: World) -> None:
    batch = columns(10_000)
    request = reading_service_pb2.StreamReadingsRequest(sequence=1, columns=batch)

    async def once() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        yield request

    (answer,) = [a async for a in world.readings.StreamReadings(once(), metadata=world.me)]
    assert (answer.accepted, len(answer.rejections)) == (10_000, 0)
    rows = sorted((room, at, value) for room, _, at, value, _ in await stored(world.nats))
    wanted = sorted(
        (f"r{index}", at, value)
        for index, at, value in zip(
            batch.series_index, batch.event_time_us, (np.array(batch.value) + 273.15).tolist(), strict=True
        )
    )
    assert rows == wanted
