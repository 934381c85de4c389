"""Posts over HTTP: to addresses that others have given us only where that is allowed, and to providers.

The name is resolved and judged for each connection, and the connection goes to exactly the judged address; redirects
are not followed. The client is aiohttp's: it takes a resolver, and carries some thousand requests a second, several
times what httpx does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from services.chassis.guarded_http import guarded_session
from services.chassis.net_guard import AddressBlocked, AddressGuard, MeshBlocked, NameUnresolved
from services.chassis.origins import Origin
from services.chassis.telemetry.logs import get_logger
from services.notification.domain.errors import TargetBlocked

log = get_logger(__name__)

MAX_ANSWER = 64 * 1024
_CONNECT_SECONDS = 5.0
_AGENT = "Tocsin/1.0"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered; the names of headers in any case, the body cut at 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotReached(Exception):
    """There was no answer. `code` names the kind of failure; `unknown`: it may have been taken all the same."""

    def __init__(self, code: str, message: str, *, unknown: bool) -> None:
        super().__init__(message)
        self.code = code
        self.unknown = unknown


class HttpClient:
    """Posts, over pooled connections. With a guard only to where it lets us; without one (for providers that the
    operator has configured) through the proxies of the environment."""

    def __init__(self, guard: AddressGuard | None, *, timeout: timedelta, connections: int = 100) -> None:
        self._guard = guard
        self._timeout = timeout.total_seconds()
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[str, str | None] = {}

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(self._timeout, _CONNECT_SECONDS))
        if self._guard is not None:
            self._session = guarded_session(self._guard, agent=_AGENT, timeout=timeout, connections=self._connections)
        else:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": _AGENT},
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def _proxy(self, url: str) -> str | None:
        """The environment's proxy for a provider. Looked up once for each URL, of which there are a few: the client
        would look for it, and for a file of passwords, with each request."""
        if self._guard is not None:
            return None
        if url not in self._proxies:
            parts = urlsplit(url)
            proxy = getproxies().get(parts.scheme)
            self._proxies[url] = None if proxy is None or proxy_bypass(parts.netloc) else proxy
        return self._proxies[url]

    async def post(self, url: str, headers: dict[str, str], body: bytes) -> Answer:
        """Raises NotReached, AddressBlocked and NameUnresolved."""
        assert self._session is not None
        try:
            async with self._session.post(
                url, headers=headers, data=body, allow_redirects=False, proxy=self._proxy(url)
            ) as response:
                return Answer(response.status, response.headers, await _read(response))
        except aiohttp.InvalidURL as error:
            raise AddressBlocked("the URL is none") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotReached(type(error).__name__, "no connection", unknown=False) from error
        except TimeoutError as error:
            raise NotReached("Timeout", "no answer in time", unknown=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotReached(type(error).__name__, "the connection was lost", unknown=True) from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to MAX_ANSWER. What breaks off is what has come of it: the status is an answer already."""
    body = bytearray()
    try:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) >= MAX_ANSWER:
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        log.debug("http.answer_broken_off", status=response.status, bytes=len(body))
    return bytes(body[:MAX_ANSWER])


class Guard:
    """Refuses URLs at the door; the connection is judged again each time."""

    def __init__(self, addresses: AddressGuard) -> None:
        self._addresses = addresses

    async def check(self, url: str, field: str) -> None:
        """Raises TargetBlocked. A name that does not resolve at the moment is no reason: it may later."""
        try:
            origin = Origin.of(url)
        except ValueError as error:
            raise TargetBlocked(url, field, str(error)) from error
        try:
            await self._addresses.addresses(origin.host, origin.port)
        except NameUnresolved:
            return
        except MeshBlocked as error:
            raise TargetBlocked(url, field, error.message) from error
        except AddressBlocked as error:
            allow = f"the operator may allow it with TOCSIN_NOTIFICATION_ALLOWED_TARGETS={origin}"
            raise TargetBlocked(url, field, f"{error.message}; {allow}") from error
