"""Posts to addresses that others have given us, and only to where that is allowed.

The name is resolved once, judged, and the connection goes to exactly the judged address; redirects are not followed.
`httpcore` (the transport under httpx) is used directly, because it takes a network backend: httpx has no public way to
say where a connection goes.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, cast

import httpcore

from services.chassis.errors import DomainError
from services.chassis.net_guard import AddressBlocked, AddressGuard, NameUnresolved, Origin
from services.notification.domain.errors import TargetBlocked

MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; the names of headers in lower case, the body cut at 64 KiB."""

    status: int
    headers: dict[str, str]
    body: bytes


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._network: httpcore.AsyncNetworkBackend = cast(Any, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._guard.addresses(host.strip("[]"), port)
        problem: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem or httpcore.ConnectError("no address")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise AddressBlocked("a socket of this machine is no target")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class GuardedClient:
    """An HTTP client for outside addresses, with pooled connections."""

    def __init__(self, guard: AddressGuard, *, timeout: timedelta, connections: int = 100) -> None:
        seconds = timeout.total_seconds()
        self._timeouts = {"connect": min(seconds, 5.0), "read": seconds, "write": seconds, "pool": seconds}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections,
            max_keepalive_connections=connections // 2,
            keepalive_expiry=15.0,
            network_backend=_GuardedBackend(guard),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Raises AddressBlocked, NameUnresolved, and httpcore's errors."""
        async with self._pool.stream(
            "POST",
            url,
            headers=[*headers.items(), ("content-length", str(len(body))), ("host", _host(url))],
            content=body,
            extensions={"timeout": self._timeouts},
        ) as response:
            answer = bytearray()
            async for chunk in response.aiter_stream():
                answer += chunk
                if len(answer) >= MAX_ANSWER:
                    break
        names = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        return Answer(response.status, names, bytes(answer[:MAX_ANSWER]))


def _host(url: str) -> str:
    return str(Origin.of(url)).partition("://")[2]


class Guard:
    """Refuses URLs at the door; the connection is judged again each time."""

    def __init__(self, addresses: AddressGuard) -> None:
        self._addresses = addresses

    async def check(self, url: str, field: str) -> None:
        """Raises TargetBlocked. A name that does not resolve at the moment is no reason: it may later."""
        try:
            origin = Origin.of(url)
            await self._addresses.addresses(origin.host, origin.port)
        except NameUnresolved:
            return
        except (ValueError, DomainError) as error:
            raise TargetBlocked(url, field, str(error)) from error
