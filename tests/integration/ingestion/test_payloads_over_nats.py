"""Payloads of gateways that speak NATS, on a real broker."""

import json
import time
from dataclasses import replace

from services.chassis.nats import TopologyOptions, ensure_streams
from services.chassis.nats.topology import DEAD_LETTERS, PAYLOADS, READINGS, READINGS_PRIORITY, payloads_subject
from tests.integration.ingestion.conftest import World
from tests.support.eventually import eventually
from tests.support.nats import send_raw
from tocsin.events.v1 import readings_pb2
from tocsin.ingestion.v1 import payload_service_pb2 as pb


async def publish(world: World, subject: str, content: object, **headers: str) -> None:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    await world.nats.js.publish(subject, raw, headers={name.replace("_", "-"): text for name, text in headers.items()})


async def settled(world: World) -> None:
    """Every payload has been acknowledged."""

    async def empty() -> bool:
        return (await world.nats.js.stream_info(PAYLOADS)).state.messages == 0

    await eventually(empty)


async def batches(world: World) -> list[readings_pb2.ReadingBatch]:
    state = (await world.nats.js.stream_info(READINGS)).state
    found = [await world.nats.js.get_msg(READINGS, place) for place in range(state.first_seq, state.last_seq + 1)]
    return [readings_pb2.ReadingBatch.FromString(message.data or b"") for message in found]


async def quarantined(world: World) -> list[pb.QuarantinedPayload]:
    answer = await world.payloads.ListQuarantinedPayloads(pb.ListQuarantinedPayloadsRequest(), metadata=world.me)
    return list(answer.payloads)


def now() -> int:
    return time.time_ns() // 1_000_000_000


async def test_an_accepted_payload_becomes_readings(world: World) -> None:
    at = now()
    for _ in range(2):
        content = {"device": "d1", "energy": 12.5, "unit": 3, "ts": at, "tag": "x"}
        await publish(world, payloads_subject("ep1"), content, Nats_Msg_Id="d1-1")
    await settled(world)
    (batch,) = await batches(world)
    assert (batch.series[0].device, list(batch.value), list(batch.event_time_us)) == (
        "d1",
        [12_500.0],
        [at * 1_000_000],
    )
    assert not await quarantined(world)


async def test_a_level_of_zero_takes_the_priority_lane(world: World) -> None:
    await publish(world, payloads_subject("env1"), {"id": "c1", "d": {"filling_level": 0}, "ts": now(), "tag": "x"})
    await settled(world)
    state = (await world.nats.js.stream_info(READINGS_PRIORITY)).state
    assert state.messages == 1
    message = await world.nats.js.get_msg(READINGS_PRIORITY, state.last_seq)
    emptied = readings_pb2.ContainerEmptied.FromString(message.data or b"")
    assert (emptied.series.device, emptied.forced) == ("c1", False)
    assert not await batches(world)


async def test_what_nobody_understands_is_in_quarantine_once_and_good_ones_go_on(world: World) -> None:
    bad = [
        ("ep1", b"{", ""),
        ("ep1", {"device": "d1", "energy": "12", "unit": 0, "ts": now()}, "energy"),
        ("ep1", {"device": "d1", "energy": 1, "unit": 0, "ts": 1_000_000}, "eventTime"),
        ("ep9", {"device": "d1"}, ""),
        ("env1", b"\xff\x00", ""),
    ]
    for name, content, _ in bad:
        await publish(world, payloads_subject(name), content)
        await publish(world, payloads_subject("ep2"), {"from": "d2", "content": {"energy": 1}, "timestamp": now()})
    await settled(world)
    found = await quarantined(world)
    assert sorted((kept.format, kept.field) for kept in found) == sorted((name, field) for name, _, field in bad)
    assert all("ep9" in kept.reason for kept in found if kept.format == "ep9")
    assert sum(len(batch.value) for batch in await batches(world)) == 5
    assert (await world.nats.js.stream_info(DEAD_LETTERS)).state.messages == 0
    # One that was refused for what it says can be replayed like any other.
    kept = next(one for one in found if one.field == "energy")
    good = json.dumps({"device": "d1", "energy": 3, "unit": 0, "ts": now(), "tag": "x"}).encode()
    async with world.database.connection() as connection:
        await connection.execute("UPDATE quarantined_payloads SET payload = $2 WHERE id = $1", kept.id, good)
    replay = pb.ReplayQuarantinedPayloadRequest(id=kept.id)
    answer = await world.payloads.ReplayQuarantinedPayload(replay, metadata=world.me)
    assert answer.readings[0].value == 3.0


async def test_what_names_no_format_is_kept_in_the_quarantine_once_and_holds_nobody_up(world: World) -> None:
    subjects = ["'drop-é".encode(), b"a%2fb", b"\xff\xfe", b"a\x0bb", b"x" * 200]
    garbage = b"".join(b"PUB tocsin.payloads.v1.%s 2\r\n{}\r\n" % subject for subject in subjects)
    await send_raw(world.app.settings.nats_url, garbage * 2)
    await publish(world, payloads_subject("ep1"), {"device": "d1", "energy": 1, "unit": 0, "ts": now()})
    await settled(world)
    kept = await quarantined(world)
    assert {payload.format for payload in kept} == {"unknown"}
    assert sorted({payload.reason.rpartition(": ")[2] for payload in kept}) == sorted(
        ["'drop-é", "a%2fb", "\\xff\\xfe", "a\x0bb", "x" * 100]
    )
    assert len(kept) == 2 * len(subjects)
    assert len(await batches(world)) == 1
    assert (await world.nats.js.stream_info(DEAD_LETTERS)).state.messages == 0
    assert world.nats.reconnects == 0


async def test_while_readings_cannot_be_stored_payloads_wait(world: World) -> None:
    await ensure_streams(world.nats, replace(TopologyOptions(), max_bytes={READINGS: 1}))
    await publish(world, payloads_subject("ep1"), {"device": "d1", "energy": 1, "unit": 0, "ts": now()})

    async def put_off() -> bool:
        info = await world.nats.js.consumer_info(PAYLOADS, "ingestion_payloads")
        return bool(info.num_redelivered)

    await eventually(put_off)
    assert not await quarantined(world)
    assert not await batches(world)
    await ensure_streams(world.nats, TopologyOptions())
    await settled(world)
    (batch,) = await batches(world)
    assert list(batch.value) == [1.0]
    assert (await world.nats.js.stream_info(DEAD_LETTERS)).state.messages == 0
