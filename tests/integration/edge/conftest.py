"""A real Envoy and a real gateway before services with foreseeable answers; one set for a test process."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.cli.runtime import edge
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.identity_provider import Identity
from services.cli.runtime.settings import PROJECT, SERVICES
from tests.support.ports import free_port
from tests.support.rest import trust

ORIGIN = "https://console.example"


@dataclass(frozen=True)
class Edge:
    """Where the edge is, and who may enter."""

    port: int
    metrics_port: int
    admin_socket: Path
    issuer: DevIssuer
    gateway_pid: int
    envoy_pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bearer(self) -> str:
        return f"Bearer {self.issuer.mint()}"

    @property
    def expired(self) -> str:
        return f"Bearer {self.issuer.mint(ttl=timedelta(hours=-1))}"


class Processes:
    """Children with their logs, ended in the end."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack

    def start(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str] | None = None,
        directory: Path = PROJECT,
    ) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._directory / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=directory, env={**os.environ, **(environment or {})}
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def log(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()


@pytest.fixture(scope="session")
def edge_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    directory = tmp_path_factory.mktemp("edge")
    ports = {name: free_port() for name in ("edge", "metrics", "gateway", "gateway_grpc", "services")}
    issuer = DevIssuer.open(directory / "auth")
    address = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    with ExitStack() as stack:
        processes = Processes(directory, stack)
        fake = [sys.executable, "-m", "tests.integration.edge.fake_services", str(ports["services"])]
        processes.start("services", fake, {"PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'generated/python'}"})
        variables = {f"TOCSIN_PEER_{service.upper()}": address["services"] for service in SERVICES}
        variables |= {
            "TOCSIN_GATEWAY_LISTEN": address["gateway"],
            "TOCSIN_GATEWAY_GRPC_LISTEN": address["gateway_grpc"],
        }
        gateway = processes.start(
            "gateway", [str(edge.find_gateway())], {**variables, "TOCSIN_GATEWAY_HEARTBEAT": "200ms"}
        )
        options, identity = read_edge_options({"TOCSIN_EDGE_CORS_ORIGINS": ORIGIN}), Identity()
        values = {
            **options.values,
            **identity.envoy_values(issuer.jwks_file, address["metrics"]),
            "EDGE_TLS_PORT": "0",
            "ADMIN_SOCKET": edge.ADMIN_SOCKET,
        }
        upstreams = dict.fromkeys(SERVICES, ports["services"])
        for name, port in {**ports, **upstreams}.items():
            values |= {f"{name.upper()}_HOST": "127.0.0.1", f"{name.upper()}_PORT": str(port)}
        config = directory / "envoy.yaml"
        template = (PROJECT / "gateway" / "envoy" / "envoy.yaml.in").read_text()
        config.write_text(edge.render_envoy_config(template, values, options.sections | identity.envoy_sections()))
        envoy = processes.start("envoy", list(edge.envoy_command(config)), directory=directory)
        wait_until_healthy(f"http://{address['edge']}/health", processes, (gateway, envoy))
        yield Edge(ports["edge"], ports["metrics"], directory / edge.ADMIN_SOCKET, issuer, gateway.pid, envoy.pid)


def wait_until_healthy(url: str, processes: Processes, needed: tuple[subprocess.Popen[bytes], ...]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(url, timeout=2, verify=trust()).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline or any(process.poll() is not None for process in needed):
            logs = "\n".join(processes.log(name) for name in ("services", "gateway", "envoy"))
            raise RuntimeError(f"the edge did not become healthy:\n{logs}")
        time.sleep(0.02)


@pytest.fixture
async def rest(edge_stack: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client with a token for everything."""
    headers = {"authorization": edge_stack.bearer}
    async with httpx.AsyncClient(base_url=edge_stack.url, headers=headers, timeout=20, verify=trust()) as client:
        yield client


@pytest.fixture
async def anonymous(edge_stack: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client without a token."""
    async with httpx.AsyncClient(base_url=edge_stack.url, timeout=20, verify=trust()) as client:
        yield client


@pytest.fixture
async def channel(edge_stack: Edge) -> AsyncIterator[grpc.aio.Channel]:
    """A gRPC channel to the edge."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{edge_stack.port}") as channel:
        yield channel
