"""A mesh in which each setting that several parts share is another than by default: all of them follow."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from services.chassis.nats.topology import READINGS, VIDEOS
from services.cli.runtime.status import read_report
from tests.e2e.conftest import running_mesh, until
from tests.e2e.test_identity_provider import Door
from tests.support.identity_provider import AUDIENCE, ISSUER, Provider
from tests.support.rest import trust

PARTITIONS, MIB = 3, 1024**2


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the provider's keys."""
    return tmp_path_factory.mktemp("settings") / "keys.json"


@pytest.fixture(scope="module")
def door(keys: Path, repository: Path) -> Iterator[Door]:
    directory = keys.parent
    provider = Provider(directory / "ca.pem")
    provider.add("first")
    keys.write_bytes(provider.jwks())
    environment = {
        "TOCSIN_AUTH_JWKS_FILE": str(keys),
        "TOCSIN_AUTH_JWKS_REFRESH": "1s",
        "TOCSIN_AUTH_ISSUER": ISSUER,
        "TOCSIN_AUTH_AUDIENCE": AUDIENCE,
        "TOCSIN_AUTH_LEEWAY": "2m",
        "TOCSIN_AUTH_DEV_TOKENS": "true",
        "TOCSIN_READINGS_PARTITIONS": str(PARTITIONS),
        "TOCSIN_NATS_STREAM_BYTES": "READINGS=64MiB,VIDEOS=20MiB",
        "TOCSIN_EDGE_REQUEST_TIMEOUT": "2s",
        "TOCSIN_METRICS_HOST": "127.0.0.2",
    }
    with running_mesh(repository, directory / "state", environment) as (mesh, _process):
        yield Door(mesh, provider, directory / "up.log")


def test_issuer_audience_and_leeway_are_those_of_edge_and_services(door: Door) -> None:
    door.until_open("first")
    development = door.mesh.token()
    late = door.provider.sign("first", exp=int(time.time()) - 60)
    for token in (development, late):
        assert door.rest(token) == 200
        assert door.direct(token) is grpc.StatusCode.OK
    later = door.provider.sign("first", exp=int(time.time()) - 180)
    foreign = door.provider.sign("first", iss="https://tocsin.local")
    for token in (later, foreign):
        assert door.rest(token) == 401
        assert door.direct(token) is grpc.StatusCode.UNAUTHENTICATED


def test_keys_in_a_file_are_followed_by_edge_and_services(door: Door, keys: Path) -> None:
    door.provider.add("second", "RS256")
    keys.write_bytes(door.provider.jwks())
    door.until_open("second")
    assert door.direct(door.provider.sign("second")) is grpc.StatusCode.OK


def test_readings_of_every_partition_are_aggregated(door: Door) -> None:
    async def look() -> None:
        async with door.mesh.nats() as connection:
            streams = {each.config.name: each.config for each in await connection.jetstream().streams_info()}
        assert len(streams[READINGS].subjects or ()) == PARTITIONS
        assert (streams[READINGS].max_bytes, streams[VIDEOS].max_bytes) == (64 * MIB, 20 * MIB)

    asyncio.run(look())
    rooms = [f"room-{number}" for number in range(12)]
    with door.mesh.http() as client:
        for room in rooms:
            reading = {"building": "tower", "room": room, "sensorType": "temperature", "value": 21, "unit": "C"}
            sent = client.post("/v1/readings", json=reading)
            assert sent.status_code == 200, sent.text
        for room in rooms:

            def counted(room: str = room) -> bool:
                answer = client.get(f"/v1/buildings/tower/rooms/{room}/average")
                return answer.status_code == 200 and answer.json().get("statistics", {}).get("count") == "1"

            until(counted, what=f"the average of {room}")


def test_the_edge_waits_as_long_as_it_is_told(door: Door) -> None:
    (pid,) = [part.pid for part in read_report(door.mesh.state).parts if part.name == "ingestion"]
    assert pid is not None
    token = door.mesh.token()
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert door.rest(token) == 504
        # By itself the gateway would wait for 15 s.
        assert 1.5 < time.monotonic() - began < 12
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: door.rest(token) == 200, timeout=40, what="an answer")


def test_metrics_listen_where_they_are_told(door: Door) -> None:
    ports = door.mesh.instance.ports
    for part in ("runtime", "envoy", "gateway", "ingestion", "aggregation", "media_probe", "notification"):
        url = f"http://127.0.0.2:{ports[f'{part}_metrics']}/metrics"
        assert httpx.get(url, timeout=10, verify=trust()).status_code == 200, part
