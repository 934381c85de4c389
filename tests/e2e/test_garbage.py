"""Anything at all, published by every login to every subject that it may write: good messages go on being processed."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.nats_accounts import (
    GATEWAY_USER,
    RUNTIME_USER,
    gateway_permissions,
    mesh_permissions,
    publisher_permissions,
    publisher_user,
)
from services.cli.runtime.settings import SERVICES
from services.cli.runtime.status import read_reports
from tests.e2e.conftest import Edge, until
from tests.support.nats import send_raw
from tocsin.events.v1 import alerts_pb2, debts_pb2, readings_pb2

EACH = 25
"""Messages of garbage for each subject."""
TOKENS = [*(b"%d" % number for number in range(8))]
TOKENS += [
    b"x",
    b"\xff\xfe",
    b"a\x0bb",
    b"\x00",
    b"%2e",
    b"'",
    "ä".encode(),
    b"\xed\xa0\x80",
    b"y" * 300,
    b"$JS",
    b"ep1",
]
HEADERS = [
    b"",
    b"x",
    b"NATS/1.0",
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 \xff\xff\r\n\r\n",
    b"NATS/1.0\r\nce-id: \xff\r\nce-type: \x00\r\n\r\n",
    b"NATS/1.0\r\nce-id: " + b"i" * 4000 + b"\r\nbad name@: 1\r\n\r\n",
    b"NATS/1.0\r\nce-type: tocsin.events.v1.VideoAlertReported\r\nTocsin-Only-Consumer: nobody/nothing\r\n\r\n",
    b"NATS/1.0\r\nTocsin-Follows: x 99999999999999999999999999\r\ntraceparent: zz\r\n\r\n",
    b"NATS/1.0\r\nTocsin-Follows: z " + b"9" * 5000 + b"\r\n\r\n",
    (
        b"NATS/1.0\r\nTocsin-Dead-Attempts: x\r\nTocsin-Dead-Sequence: y\r\nTocsin-Dead-History: {\r\n"
        b"Tocsin-Dead-Failed-At: never\r\n\r\n"
    ),
    b"NATS/1.0\r\nTocsin-Follows: y \xff\r\nNats-Msg-Id: \xff\xfe\r\nNats-Expected-Last-Sequence: x\r\n\r\n",
]
BAD_SERIES = [
    {"building": "a\0b", "room": "r", "sensor_type": "t"},
    {"building": "a b", "room": "r", "sensor_type": "t"},
    {"building": "i" * 5000, "room": "r", "sensor_type": "t"},
    {"building": "b", "room": "r", "sensor_type": "t", "unit": "K\0"},
    {"building": "b", "room": "r", "sensor_type": "t", "device": "tocsin.>"},
    {"building": "b", "room": "r", "sensor_type": "t", "rules_revision": 2**31 - 1, "expected_interval_us": 2**62},
]


def _batch(series: Mapping[str, Any], *, changed: bool) -> bytes:
    described = readings_pb2.SeriesDescriptor(kind="COUNTER", **series)
    return readings_pb2.ReadingBatch(
        series=[described],
        changed=[described] if changed else [],
        series_index=[0],
        event_time_us=[1_700_000_000_000_000],
        value=[float("nan") if changed else 1.0],
    ).SerializeToString()


WELL_FORMED = [
    *(_batch(series, changed=changed) for series in BAD_SERIES for changed in (False, True)),
    alerts_pb2.VideoAlertReported(uid="a\x00b", video="\x00", timestamp=float("nan")).SerializeToString(),
    alerts_pb2.VideoAlertReported(uid="u" * 5000, video="http://[", timestamp=-1e300).SerializeToString(),
    debts_pb2.DebtsRegistered(debt_file="\x00", debts=[debts_pb2.DebtsRegistered.Debt(id="\x00")]).SerializeToString(),
    readings_pb2.ReadingBatch(partition=999, series_index=[4], event_time_us=[1], value=[1.0]).SerializeToString(),
    readings_pb2.ReadingBatch(series=[readings_pb2.SeriesDescriptor()], series_index=[0]).SerializeToString(),
    readings_pb2.ContainerEmptied().SerializeToString(),
    b'{"device": "a\\u0000b", "energy": 1e999}',
    b"",
    b"\xff" * 60_000,
]


def subjects(chance: random.Random, pattern: str) -> Iterator[bytes]:
    """Subjects of Tocsin's own that the pattern allows."""
    while True:
        parts = pattern.encode().split(b".")
        if parts[-1] == b">":
            parts[-1:] = [b"*"] * chance.randrange(1, 4)
        yield b".".join(chance.choice(TOKENS) if part == b"*" else part for part in parts)


def garbage(chance: random.Random, pattern: str) -> bytes:
    """Commands that publish it."""
    commands: list[bytes] = []
    for _, subject in zip(range(EACH), subjects(chance, pattern), strict=False):
        payload = chance.choice([*WELL_FORMED, chance.randbytes(chance.randrange(300))])
        block = chance.choice(HEADERS)
        if block:
            head = b"HPUB %s %d %d" % (subject, len(block), len(block) + len(payload))
        else:
            head = b"PUB %s %d" % (subject, len(payload))
        commands.append(head + b"\r\n" + block + payload + b"\r\n")
    return b"".join(commands)


def writable() -> dict[str, list[str]]:
    """Login -> subjects of Tocsin's own that it may publish to. The runtime, which may do everything, is left out."""
    names = MeshNames()
    logins = {
        **mesh_permissions(SERVICES, names),
        GATEWAY_USER: gateway_permissions(names),
        publisher_user("test"): publisher_permissions("test", names),
    }
    return {
        user: [pattern for pattern in rights.publish or () if pattern.startswith(("tocsin.", "$O."))]
        for user, rights in logins.items()
        if user != RUNTIME_USER
    }


@pytest.mark.timeout(180)
def test_good_messages_go_on_beside_garbage_of_every_login(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    chance = random.Random(20261129)
    restarts = {report.name: report.restarts for report in read_reports(edge.mesh.state)}

    async def flood() -> None:
        for user, patterns in writable().items():
            password = edge.mesh.state.secret(f"nats.{user}")
            for pattern in patterns:
                said = await send_raw(
                    edge.mesh.instance.nats_url, garbage(chance, pattern), user=user, password=password
                )
                assert "PONG" in said, said
                assert "Authorization" not in said, said

    asyncio.run(flood())
    took = {name: flow(edge, rest, unique) for name, flow in FLOWS.items()}
    print({name: round(seconds, 2) for name, seconds in took.items()})
    # A second or less on a quiet machine.
    assert max(took.values()) < 5, took
    # It is put aside once, and passed: nothing waits, and nothing comes again and again.
    until(lambda: _all_settled(edge), 60, what="consumers that wait for nothing")
    letters = rest.get("/v1/deadLetters", params={"pageSize": 1000}).json()["deadLetters"]
    assert {letter["service"] for letter in letters} >= set(SERVICES)
    for log in edge.mesh.state.logs.glob("*.log"):
        assert "message.unsettled" not in log.read_text(errors="replace"), log
    assert {report.name: report.restarts for report in read_reports(edge.mesh.state)} == restarts


def _reading(_edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> float:
    building = unique("b")
    began = time.monotonic()
    for room in "abcdefgh":
        body = {"building": building, "room": room, "sensorType": "temperature", "value": 20, "unit": "C"}
        assert rest.post("/v1/readings", json=body).status_code == 200
    for room in "abcdefgh":
        path = f"/v1/buildings/{building}/rooms/{room}/readings"
        until(lambda path=path: rest.get(path).json().get("readings"), what="the reading")
    return time.monotonic() - began


def _payload(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> float:
    device = unique("d")
    payload = b'{"device":"%s","energy":1,"unit":0,"ts":%d,"tag":"x"}' % (device.encode(), time.time())
    began = time.monotonic()
    publish = b"PUB tocsin.payloads.v1.ep1 %d\r\n%s\r\n" % (len(payload), payload)
    password = edge.mesh.state.secret(f"nats.{GATEWAY_USER}")
    asyncio.run(send_raw(edge.mesh.instance.nats_url, publish, user=GATEWAY_USER, password=password))
    until(lambda: rest.get(f"/v1/devices/{device}").status_code == 200, what="the device of the payload")
    return time.monotonic() - began


def _alert(_edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> float:
    uid = unique("cam")
    began = time.monotonic()
    body = {"uid": uid, "video": "/videos/yard.mkv", "timestamp": 1.7e9, "store": "s"}
    assert rest.post("/v1/alerts", json=body).status_code == 200
    until(lambda: rest.get(f"/v1/alerts/{uid}").json()["state"] == "PROBED", what="the probed video")
    return time.monotonic() - began


def _debt(_edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> float:
    debt = unique("D")
    head = "name,governmentId,email,debtAmount,debtDueDate,debtId"
    csv = f"{head}\nAnn,11111111111,ann@example.test,120.50,2027-01-31,{debt}\n"
    began = time.monotonic()
    assert rest.post("/v1/debtFiles", files={"csv": ("d.csv", csv)}).status_code == 200
    until(lambda: rest.get(f"/v1/debts/{debt}/invoice").status_code == 200, what="the invoice")
    return time.monotonic() - began


FLOWS: dict[str, Callable[[Edge, httpx.Client, Callable[[str], str]], float]] = {
    "reading": _reading,
    "payload": _payload,
    "alert": _alert,
    "debt": _debt,
}


def _all_settled(edge: Edge) -> bool:
    async def waiting() -> dict[str, int]:
        found: dict[str, int] = {}
        async with edge.mesh.nats() as connection:
            js = connection.jetstream()
            for stream in await js.streams_info():
                for one in await js.consumers_info(stream.config.name or ""):
                    found[f"{stream.config.name}/{one.name}"] = (one.num_pending or 0) + (one.num_ack_pending or 0)
        return found

    left = {name: count for name, count in asyncio.run(waiting()).items() if count}
    assert not left, left
    return True
