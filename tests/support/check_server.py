"""A server that is asked whether a reminder is needed: it answers, lies, hangs, or breaks, as a test wants it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

Behaviour = Callable[["CheckServer", web.Request], Awaitable[web.StreamResponse]]


@dataclass
class CheckServer:
    """What it was asked, and how it answers."""

    port: int = 0
    behaviour: Behaviour | None = None
    taken: set[str] = field(default_factory=set[str])
    """The users who have taken theirs."""
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    most_under_way: int = 0

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """As reminders are told it."""
        return self.origin + "/taken?user={user}&reminder={reminder}&at={occurrence}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answers as it behaves."""
        self.asked.append(dict(request.query))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.behaviour is not None:
                return await self.behaviour(self, request)
            return web.json_response({"taken": request.query["user"] in self.taken})
        finally:
            self.under_way -= 1


async def hang(server: CheckServer, request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await server.closing.wait()
    return web.Response()


def answering(status: int = 200, body: str = "") -> Behaviour:
    """Always this."""

    async def behave(_: CheckServer, request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, headers={"Location": "http://127.0.0.1:1/"})

    return behave


async def endless(_: CheckServer, request: web.Request) -> web.StreamResponse:
    """Sends and sends."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


async def hang_up(_: CheckServer, request: web.Request) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@asynccontextmanager
async def check_server() -> AsyncIterator[CheckServer]:
    """Serves during the block."""
    server = CheckServer()
    app = web.Application()
    app.router.add_get("/taken", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.closing.set()
        await runner.cleanup()
