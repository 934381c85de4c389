"""Opens videos over HTTP: one session for all, connections kept and shared, addresses judged at every connect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from services.chassis.guarded_http import GuardedResolver
from services.chassis.net_guard import AddressBlocked, AddressGuard, NameUnresolved, Origin
from services.media_probe.adapters.http.remote_file import FileBudget, RemoteFile
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.target import TargetRule

AGENT = "tocsin-media-probe"
_ADMITTED = 1000


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """Time-outs of one request, and how many connections a video server is burdened with."""

    connect_timeout: timedelta = timedelta(seconds=3)
    read_timeout: timedelta = timedelta(seconds=5)
    connections_per_server: int = 32


class HttpVideoSource:
    """The VideoSource over HTTP."""

    def __init__(
        self, session: aiohttp.ClientSession, guard: AddressGuard, target: TargetRule, budget: FileBudget
    ) -> None:
        self._session = session
        self._guard = guard
        self._target = target
        self._budget = budget
        self._admitted: set[str] = set()

    @asynccontextmanager
    async def open(self, url: str) -> AsyncGenerator[RemoteFile, None]:
        """A file whose transfer is cut when the block ends. Raises ProbeFailed."""
        server = url[: url.find("/", 8)] if "/" in url[8:] else url.partition("?")[0]
        if server not in self._admitted:
            await self._admit(Origin.of(url))
            if len(self._admitted) < _ADMITTED:
                self._admitted.add(server)
        file = RemoteFile(self._session, url, self._budget, self._target.redirect)
        try:
            yield file
        finally:
            file.close()

    async def _admit(self, origin: Origin) -> None:
        """Raises ProbeFailed for an address that is not allowed. Its verdict on one origin is always the same."""
        # The client asks its resolver for names only; an address in the URL itself is judged here. Redirects stay on
        # the origin, so this is the only place.
        if origin.address is None:
            return
        try:
            await self._guard.addresses(origin.host, origin.port)
        except AddressBlocked as error:
            raise ProbeFailed(Failure.BLOCKED_TARGET, error.message) from error
        except NameUnresolved as error:
            raise ProbeFailed(Failure.UNREACHABLE, error.message, transient=True) from error


@asynccontextmanager
async def open_http_source(
    guard: AddressGuard, target: TargetRule, budget: FileBudget, options: HttpOptions
) -> AsyncGenerator[HttpVideoSource, None]:
    """The source with its own connections, closed at the end of the block."""
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(guard),
        use_dns_cache=False,
        limit=options.connections_per_server * 4,
        limit_per_host=options.connections_per_server,
        # A second family tried in parallel would be a second connection to judge and to close.
        happy_eyeballs_delay=None,
    )
    timeout = aiohttp.ClientTimeout(
        sock_connect=options.connect_timeout.total_seconds(), sock_read=options.read_timeout.total_seconds()
    )
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        raise_for_status=False,
        headers={"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
    ) as session:
        yield HttpVideoSource(session, guard, target, budget)
