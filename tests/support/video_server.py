"""A video server with real range support that can be told to misbehave."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web

Misbehave = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request: its path, its range, and the bytes of the answer's body that were written."""

    path: str
    range: str
    if_range: str = ""
    sent: int = 0


@dataclass
class VideoServer:
    """`files` by path (with its slash); `behaviour` by path takes the place of a plain answer."""

    files: dict[str, bytes]
    behaviour: dict[str, Misbehave] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    url: str = ""
    etags: bool = True

    def of(self, path: str) -> list[Asked]:
        """The requests for a path."""
        return [asked for asked in self.asked if asked.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The answer, or the misbehaviour."""
        self.asked.append(Asked(request.path, request.headers.get("Range", ""), request.headers.get("If-Range", "")))
        self.connections.add(id(request.transport))
        behave = self.behaviour.get(request.path, self.plain)
        return await behave(request, self.files.get(request.path, b""))

    async def plain(self, request: web.Request, data: bytes) -> web.StreamResponse:
        """As RFC 9110 has it."""
        if request.path not in self.files:
            return web.Response(status=404)
        tag = f'"{hash(data) & 0xFFFFFFFF:x}"' if self.etags else ""
        headers = {"ETag": tag} if tag else {}
        if tag and request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        asked = request.http_range
        stale = request.headers.get("If-Range", tag) != tag
        if asked.start is None or stale:
            return web.Response(body=data, headers=headers)
        if asked.start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        stop = min(asked.stop or len(data), len(data))
        body = data[asked.start : stop]
        self.asked[-1].sent = len(body)
        return web.Response(
            status=206, body=body, headers={**headers, "Content-Range": f"bytes {asked.start}-{stop - 1}/{len(data)}"}
        )


def status(code: int, headers: Mapping[str, str] | None = None) -> Misbehave:
    """Always answers with this status."""

    async def behave(_request: web.Request, _data: bytes) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return behave


def in_turn(*steps: Misbehave) -> Misbehave:
    """The n-th request gets the n-th behaviour; the last one stays."""
    left = list(steps)

    async def behave(request: web.Request, data: bytes) -> web.StreamResponse:
        step = left.pop(0) if len(left) > 1 else left[0]
        return await step(request, data)

    return behave


def whole(*, chunked: bool = False, zipped: bool = False) -> Misbehave:
    """Ignores Range: answers 200 with all bytes, written slowly enough to be cut."""

    async def behave(request: web.Request, data: bytes) -> web.StreamResponse:
        body = gzip.compress(data) if zipped else data
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"} if zipped else {})
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(body)
        await response.prepare(request)
        with suppress(ConnectionError):
            for at in range(0, len(body), 4096):
                await response.write(body[at : at + 4096])
                await asyncio.sleep(0)
            await response.write_eof()
        return response

    return behave


async def endless(request: web.Request, data: bytes) -> web.StreamResponse:
    """A body that begins with the file and never ends."""
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):
        await response.write(data)
        while True:
            await response.write(b"\0" * 65536)
    return response


async def dropped(request: web.Request, data: bytes) -> web.StreamResponse:
    """Promises a part and hangs up in its middle."""
    response = web.StreamResponse(status=206, headers={"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[:100])
    assert request.transport is not None
    request.transport.abort()
    return response


def cut(after: int, *, reset: bool = False) -> Misbehave:
    """Promises what was asked for, and sends less."""

    async def behave(request: web.Request, data: bytes) -> web.StreamResponse:
        asked = request.http_range
        start, stop = asked.start or 0, asked.stop or len(data)
        response = web.StreamResponse(status=206, headers={"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})
        response.content_length = stop - start
        await response.prepare(request)
        await response.write(data[start : start + after])
        transport = request.transport
        assert transport is not None
        if reset:
            transport.abort()
        else:
            transport.close()
        return response

    return behave


async def silent(_request: web.Request, _data: bytes) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


def moved(location: str, code: int = 302) -> Misbehave:
    """Redirects."""
    return status(code, {"Location": location})


def claims(content_range: str | None, *, body: bytes | None = None, more: Mapping[str, str] | None = None) -> Misbehave:
    """Answers 206 with this Content-Range, whatever it was asked for."""

    async def behave(_request: web.Request, data: bytes) -> web.StreamResponse:
        headers = {"Content-Range": content_range} if content_range is not None else {}
        return web.Response(status=206, body=body if body is not None else data, headers={**headers, **(more or {})})

    return behave


@asynccontextmanager
async def video_server(
    files: Mapping[str, bytes] | None = None, behaviour: Mapping[str, Misbehave] | None = None
) -> AsyncIterator[VideoServer]:
    """Serves until the end of the block, on a free port."""
    named = {f"/{name.lstrip('/')}": data for name, data in (files or {}).items()}
    server = VideoServer(named, dict(behaviour or {}))
    application = web.Application()
    application.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
