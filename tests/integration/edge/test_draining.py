"""How an Envoy that is to end lets its clients go, asked by its neighbour in the pod."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.cli.deployment.draining import drain
from services.cli.deployment.edge import edge_configuration
from services.cli.runtime import edge
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.settings import SERVICES
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.rest import trust

NOBODY = "127.0.0.1:1"


@dataclass(frozen=True)
class Alone:
    """An Envoy with nothing behind it."""

    url: str
    socket: Path


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[Alone]:
    ports = free_port(), free_port()
    socket = tmp_path / "admin.sock"
    environment = {
        "TOCSIN_AUTH_DEV_TOKENS": "true",
        "TOCSIN_PEER_JWKS_FILE": str(DevIssuer.open(tmp_path / "auth").jwks_file),
        "TOCSIN_EDGE_HOST": "127.0.0.1",
        "TOCSIN_EDGE_PORT": str(ports[0]),
        "TOCSIN_METRICS_HOST": "127.0.0.1",
        "TOCSIN_ENVOY_METRICS_PORT": str(ports[1]),
        **{f"TOCSIN_PEER_{service.upper()}": NOBODY for service in SERVICES},
    }
    config = tmp_path / "envoy.yaml"
    config.write_text(edge_configuration(environment, gateway=NOBODY, gateway_grpc=NOBODY, admin_socket="admin.sock"))
    command = [*edge.envoy_command(config), "--drain-time-s", "2", "--drain-strategy", "immediate"]
    with (tmp_path / "envoy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    alone = Alone(f"http://127.0.0.1:{ports[0]}", socket)

    async def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError((tmp_path / "envoy.log").read_text())
        async with httpx.AsyncClient(verify=trust()) as client:
            try:
                return (await client.get(alone.url + "/livez")).status_code == 503
            except httpx.ConnectError:
                return False

    try:
        await eventually(answers, 20)
        yield alone
    finally:
        process.kill()
        process.wait()


async def test_answers_end_their_connections_and_no_new_ones_are_taken(envoy: Alone) -> None:
    async with httpx.AsyncClient(base_url=envoy.url, verify=trust()) as client:
        kept = await client.get("/livez")
        assert kept.headers.get("connection") != "close"
        draining = asyncio.create_task(drain(envoy.socket, timedelta(seconds=20)))

        async def sent_away() -> bool:
            return (await client.get("/livez")).headers.get("connection") == "close"

        await eventually(sent_away, 5)
        assert await draining == 0

    async def refused() -> bool:
        try:
            async with httpx.AsyncClient(verify=trust()) as late:
                await late.get(envoy.url + "/livez")
        except httpx.ConnectError:
            return True
        return False

    await eventually(refused, 10)


async def test_who_stays_is_counted_when_the_time_is_over(envoy: Alone) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(envoy.url.rpartition(":")[2]))
    try:
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        assert await drain(envoy.socket, timedelta(seconds=1)) == 1
    finally:
        writer.close()


async def test_it_begins_when_the_process_is_told_to_stop(envoy: Alone) -> None:
    program = [sys.executable, "-m", "services.cli.main", "deployment", "drain", "--socket", str(envoy.socket)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:

        def waits() -> bool:
            """Only who handles the signal survives it."""
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            (caught,) = (line.split()[1] for line in status if line.startswith("SigCgt"))
            return bool(int(caught, 16) & 1 << (signal.SIGTERM - 1))

        await eventually(waits, 20)
        process.send_signal(signal.SIGTERM)
        said, _ = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0
    assert "no client is left" in said


async def test_without_an_envoy_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeProblem, match="does not answer"):
        await drain(tmp_path / "none.sock", timedelta(seconds=1))
