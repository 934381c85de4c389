"""A server of the echo service with everything in front of it, and ways to call it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import PeerChannel, connect
from services.chassis.grpc.server import Server
from services.chassis.settings import ChassisSettings
from tests.support import echo


@dataclass
class Echo:
    """A running server, its servicer, and two channels: a bare one and one of the chassis with a token."""

    server: Server
    servicer: echo.EchoServicer
    raw: grpc.aio.Channel
    channel: PeerChannel
    stub: Any
    issuer: DevIssuer

    def meta(self, *scopes: str, **more: Any) -> tuple[tuple[str, str], ...]:
        """Call metadata with a token that holds `scopes`."""
        return (("authorization", f"Bearer {self.issuer.mint(list(scopes), **more)}"),)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevIssuer:
    return DevIssuer.open(tmp_path_factory.mktemp("auth"))


@pytest.fixture
async def echo_server(issuer: DevIssuer) -> AsyncIterator[Echo]:
    settings = ChassisSettings(
        grpc_listen="127.0.0.1:0",
        auth_jwks_file=issuer.jwks_file,
        grpc_default_deadline=timedelta(milliseconds=300),
    )
    server, servicer = Server.standard(settings), echo.EchoServicer()
    echo.rpc.add_EchoServiceServicer_to_server(servicer, server)
    port = await server.start()
    token = issuer.mint()
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as raw,
        connect(f"127.0.0.1:{port}", services=[echo.SERVICE], token=lambda: token) as channel,
    ):
        yield Echo(server, servicer, raw, channel, echo.rpc.EchoServiceStub(channel), issuer)
    await server.stop(timedelta(0))


@pytest.fixture
def environment(issuer: DevIssuer, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The environment of a service process."""

    def make(**more: str) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": ".:generated/python",
            "TOCSIN_GRPC_LISTEN": "127.0.0.1:0",
            "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
            "ECHO_RELEASE": str(tmp_path / "release"),
            "ECHO_PORT_FILE": str(tmp_path / "port"),
            **more,
        }

    return make
