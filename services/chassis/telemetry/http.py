"""A tiny HTTP endpoint for orchestrators: GET /metrics, /livez, /readyz. HTTP/1.1, one request per connection.

It runs on the service's event loop on purpose: a stuck loop fails /livez.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Self

from services.chassis.telemetry import metrics

_MAX_HEAD: Final = 8192
_PATIENCE: Final = 5.0  # seconds for a client to send its head and take the answer


class OpsEndpoint:
    """Serves the three paths on `host:port` (0: a free one, see `port`). `ready` returns the names of what is not ready
    with the reason; an empty mapping means ready (200), else 503. `pages` are further paths, answered with JSON."""

    def __init__(
        self,
        host: str,
        port: int,
        ready: Callable[[], dict[str, str]],
        pages: Mapping[str, Callable[[], bytes]] = MappingProxyType({}),
    ) -> None:
        self._host, self._wanted, self._ready, self._pages = host, port, ready, pages
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The bound port."""
        if self._server is None:
            raise RuntimeError("the endpoint is not started")
        return self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, self._wanted, limit=_MAX_HEAD)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head.decode("latin-1")))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # a client that says nothing, too much, or left: there is nobody to answer
        finally:
            writer.close()

    def _answer(self, head: str) -> bytes:
        lines = head.split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1"):
            return _response("400 Bad Request", b"bad request\n")
        verb, path = words[0], words[1].split("?", 1)[0]
        if verb not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", b"only GET\n")
        status, body, kind = self._route(path, lines[1:])
        return _response(status, body, kind, bodiless=verb == "HEAD")

    def _route(self, path: str, headers: list[str]) -> tuple[str, bytes, str]:
        text = "text/plain; charset=utf-8"
        if path == "/livez":
            return "200 OK", b"ok\n", text
        if path == "/readyz":
            missing = self._ready()
            if not missing:
                return "200 OK", b"ok\n", text
            body = "".join(f"{name}: {why}\n" for name, why in missing.items())
            return "503 Service Unavailable", body.encode(), text
        if path == "/metrics":
            accept = next((line.split(":", 1)[1] for line in headers if line.lower().startswith("accept:")), "")
            return "200 OK", *metrics.exposition(accept)
        if page := self._pages.get(path):
            return "200 OK", page(), "application/json"
        return "404 Not Found", b"only /metrics, /livez and /readyz\n", text


def _response(status: str, body: bytes, kind: str = "text/plain; charset=utf-8", *, bodiless: bool = False) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode("latin-1") + (b"" if bodiless else body)
