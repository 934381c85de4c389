"""The life of a service process: stopping, side tasks, readiness, workers. Each test runs real child processes."""

import asyncio
import json
import os
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import Unavailable
from services.chassis.grpc.client import connect
from services.chassis.version import tocsin_version
from tests.support import echo
from tests.support.eventually import eventually
from tests.support.ports import free_port

Environment = Callable[..., dict[str, str]]


class Service:
    """A running `python -m tests.support.echo`."""

    def __init__(self, process: asyncio.subprocess.Process, environment: dict[str, str]) -> None:
        self.process, self.environment = process, environment
        self.release = Path(environment["ECHO_RELEASE"])

    async def port(self) -> int:
        file = Path(self.environment["ECHO_PORT_FILE"])

        def written() -> str:
            if self.process.returncode is not None:
                raise RuntimeError(f"the service ended with {self.process.returncode} before it listened")
            return file.read_text() if file.exists() else ""

        return int(await eventually(written, timeout=30, what="the port"))

    async def exit_code(self) -> int:
        async with asyncio.timeout(20):
            return await self.process.wait()

    async def stderr(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def service(environment: dict[str, str]) -> AsyncIterator[Service]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.echo", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Service(process, environment)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def stub(issuer: DevIssuer, port: int) -> AsyncIterator[Any]:
    token = issuer.mint()
    async with connect(f"127.0.0.1:{port}", services=[echo.SERVICE], token=lambda: token) as channel:
        yield echo.rpc.EchoServiceStub(channel)


async def health(port: int, name: str = "") -> int:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=name), wait_for_ready=True, timeout=10
        )
        return int(reply.status)


async def http_get(port: int, path: str) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        return int(head.split(" ")[1]), body
    finally:
        writer.close()
        await writer.wait_closed()


async def test_sigterm_in_the_middle_of_a_call_loses_no_reply(environment: Environment, issuer: DevIssuer) -> None:
    async with service(environment()) as running, stub(issuer, await running.port()) as echoes:
        call = asyncio.create_task(echoes.Echo(echo.pb.EchoRequest(room_name="r", action="wait")))
        await eventually(lambda: Path(f"{running.release}.entered").exists())

        async with grpc.aio.insecure_channel(f"127.0.0.1:{await running.port()}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=echo.SERVICE))
            seen = aiter(watch)
            while (await anext(seen)).status != health_pb2.HealthCheckResponse.SERVING:
                pass
            running.process.terminate()
            assert (await anext(seen)).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert [message async for message in seen] == []  # the watch ends, and does not hold the stop up

        assert not call.done()
        running.release.touch()
        assert (await call).text == "r"
        assert await running.exit_code() == 0


async def test_a_call_that_outlives_the_grace_is_cut_and_the_process_ends(
    environment: Environment, issuer: DevIssuer
) -> None:
    async with (
        service(environment(TOCSIN_STOP_GRACE="200ms")) as running,
        stub(issuer, await running.port()) as echoes,
    ):
        call = asyncio.create_task(echoes.Echo(echo.pb.EchoRequest(room_name="r", action="hang")))
        await eventually(lambda: Path(f"{running.release}.entered").exists())
        running.process.send_signal(signal.SIGINT)
        with pytest.raises(Unavailable):
            await call
        assert await running.exit_code() == 0


async def test_a_dead_side_task_ends_the_process(environment: Environment, issuer: DevIssuer) -> None:
    async with service(environment(ECHO_SIDE_TASK="dies")) as running, stub(issuer, await running.port()) as echoes:
        await echoes.Echo(echo.pb.EchoRequest(room_name="r"))
        assert await running.exit_code() == 1
        lines = [json.loads(line) for line in (await running.stderr()).splitlines()]
        (died,) = [line for line in lines if line["event"] == "side task died"]
        assert (died["task"], died["level"], died["service"]) == ("dies", "critical", "echo")


async def test_a_wrong_setting_is_one_line_that_names_it(environment: Environment) -> None:
    async with service(environment(TOCSIN_STOP_GRACE="soon")) as running:
        assert await running.exit_code() == 2
        (line,) = (await running.stderr()).splitlines()
        assert line.startswith("error: TOCSIN_STOP_GRACE is no duration")


async def test_a_taken_port_ends_the_start(environment: Environment) -> None:
    async with service(environment()) as first:
        taken = f"127.0.0.1:{await first.port()}"
        async with service(environment(TOCSIN_GRPC_LISTEN=taken)) as second:
            assert await second.exit_code() == 1
            assert f"cannot listen on {taken}" in await second.stderr()


async def test_the_ops_endpoint(environment: Environment, issuer: DevIssuer) -> None:
    ops = free_port()
    async with service(environment(TOCSIN_METRICS_LISTEN=f"127.0.0.1:{ops}")) as running:
        port = await running.port()
        await eventually(lambda: _ready(ops))
        assert await http_get(ops, "/livez") == (200, "ok\n")
        assert (await http_get(ops, "/nothing"))[0] == 404
        async with stub(issuer, port) as echoes:
            await echoes.Echo(echo.pb.EchoRequest(room_name="r"))
        status, text = await http_get(ops, "/metrics")
        assert status == 200
        assert _served(text) == 1
        assert (
            f'tocsin_build_info{{commit="",python="{platform.python_version()}",version="{tocsin_version()}"}} 1'
            in text
        )
        assert "_created" not in text


async def _ready(port: int) -> bool:
    with suppress(ConnectionError):
        return (await http_get(port, "/readyz"))[0] == 200
    return False


def _served(metrics: str) -> float:
    start = f'tocsin_grpc_server_seconds_count{{code="OK",method="Echo",service="{echo.SERVICE}"}} '
    return sum(float(line.removeprefix(start)) for line in metrics.splitlines() if line.startswith(start))


async def _pids(issuer: DevIssuer, port: int, wanted: int, pids: set[int]) -> bool:
    async with stub(issuer, port) as echoes:  # a new connection each time, so that the kernel picks a worker anew
        with suppress(Unavailable):  # nobody listens yet, or the worker was killed a moment ago
            pids.add(int((await echoes.Echo(echo.pb.EchoRequest(room_name="r", action="pid"))).text))
    return len(pids) >= wanted


async def test_workers_share_a_port_and_a_dead_one_comes_back(environment: Environment, issuer: DevIssuer) -> None:
    port, ops = free_port(), free_port()
    listen = {"TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}", "TOCSIN_METRICS_LISTEN": f"127.0.0.1:{ops}"}
    async with service(environment(TOCSIN_GRPC_WORKERS="2", **listen)) as running:
        await eventually(lambda: _ready(ops), timeout=20)
        pids: set[int] = set()
        await eventually(lambda: _pids(issuer, port, 2, pids), timeout=20)
        children = {child.pid for child in psutil.Process(running.process.pid).children()}
        assert pids == children

        calls = 10
        async with stub(issuer, port) as echoes:
            before = _served((await http_get(ops, "/metrics"))[1])
            for _ in range(calls):
                await echoes.Echo(echo.pb.EchoRequest(room_name="r"))
        assert _served((await http_get(ops, "/metrics"))[1]) == before + calls  # summed over the workers

        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: _pids(issuer, port, 2, pids), timeout=20)
        assert victim not in pids
        await eventually(lambda: _ready(ops), timeout=20)

        running.process.terminate()
        assert await running.exit_code() == 0
        assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_workers_die_with_a_killed_parent(environment: Environment, issuer: DevIssuer) -> None:
    port = free_port()
    async with service(environment(TOCSIN_GRPC_WORKERS="2", TOCSIN_GRPC_LISTEN=f"127.0.0.1:{port}")) as running:
        pids: set[int] = set()
        await eventually(lambda: _pids(issuer, port, 2, pids), timeout=20)
        running.process.kill()
        await running.exit_code()
        await eventually(lambda: not any(_alive(pid) for pid in pids), timeout=20, what="the end of the workers")


def _alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


async def test_health_names_each_service(environment: Environment) -> None:
    async with service(environment()) as running:
        port = await running.port()
        for name in ("", echo.SERVICE):
            await eventually(lambda name=name: _serving(port, name))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(port, "no.such.Service")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def _serving(port: int, name: str) -> bool:
    return await health(port, name) == health_pb2.HealthCheckResponse.SERVING
