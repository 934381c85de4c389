"""Requests on somebody else's behalf, by the real client to real servers."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from services.chassis.guarded_http import guarded_session
from services.chassis.name_resolver import NameResolver
from services.chassis.net_guard import AddressBlocked, AddressGuard, MeshBlocked, NameUnresolved
from services.chassis.origins import Targets

EVERYTHING = "0.0.0.0/0, ::/0"
TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass
class Server:
    """What was asked of it; answers with a redirect to `location`, where there is one."""

    port: int = 0
    location: str = ""
    asked: list[str] = field(default_factory=list[str])

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=307, headers={"location": self.location}) if self.location else web.Response()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """On all addresses of the machine."""
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    await web.SockSite(runner, listener).start()
    server.port = listener.getsockname()[1]
    try:
        yield server
    finally:
        await runner.cleanup()


def session(guard: AddressGuard) -> aiohttp.ClientSession:
    return guarded_session(guard, agent="test", timeout=TIMEOUT, connections=10)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"),
        *("localhost", "LOCALHOST", "localhost.", socket.gethostname(), "tower.example"),
        *("2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "0"),
    ],
)
async def test_the_mesh_is_not_reached_by_any_spelling(host: str) -> None:
    async def resolve(name: str, port: int) -> list[str]:
        return await NameResolver()("127.0.0.1" if name == "tower.example" else name, port)

    async with serving() as mesh, serving() as other:
        allowed = Targets.parse(f"{EVERYTHING}, http://localhost:{mesh.port}, http://tower.example:{mesh.port}")
        async with session(AddressGuard(allowed, mesh=[("127.0.0.1", mesh.port)], resolve=resolve)) as client:
            with pytest.raises(AddressBlocked):
                await client.post(f"http://{host}:{mesh.port}/quitquitquit")
            other.location = f"http://{host}:{mesh.port}/quitquitquit"
            with pytest.raises((AddressBlocked, aiohttp.InvalidURL)):
                await client.get(f"http://127.0.0.1:{other.port}/")
        assert (mesh.asked, other.asked) == ([], ["/"])


async def test_what_is_allowed_by_origin_is_reached_and_its_neighbour_is_not() -> None:
    async with serving() as receiver, serving() as neighbour:
        async with session(AddressGuard(Targets.parse(f"http://127.0.0.1:{receiver.port}"))) as client:
            assert (await client.post(f"http://127.0.0.1:{receiver.port}/hook")).status == 200
            for host in ("127.0.0.1", "localhost", "[::1]"):
                with pytest.raises(AddressBlocked, match="loopback"):
                    await client.post(f"http://{host}:{neighbour.port}/hook")
        assert (receiver.asked, neighbour.asked) == (["/hook"], [])


async def test_a_connection_goes_to_the_address_that_was_judged() -> None:
    answers = iter(["127.0.0.1", "169.254.169.254"])

    async def resolve(_name: str, _port: int) -> list[str]:
        return [next(answers)]

    async with serving() as receiver:
        guard = AddressGuard(Targets.parse("127.0.0.0/8"), resolve=resolve)
        async with session(guard) as client:
            address = f"http://rebound.example:{receiver.port}/"
            assert (await client.get(address, headers={"connection": "close"})).status == 200
            with pytest.raises(AddressBlocked, match="link-local"):
                await client.get(address)


async def test_the_mesh_is_a_reason_of_its_own() -> None:
    async def resolve(_name: str, _port: int) -> list[str]:
        raise OSError

    guard = AddressGuard(Targets.parse(EVERYTHING), mesh=[("127.0.0.1", 8080)], resolve=resolve)
    async with session(guard) as client:
        with pytest.raises(MeshBlocked, match=r"Tocsin itself listens on port 8080 of ::1"):
            await client.get("http://[::1]:8080/")
        with pytest.raises(NameUnresolved):
            await client.get("http://nowhere.example:8080/")
