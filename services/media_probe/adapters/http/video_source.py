"""Opens videos over HTTP: one session for all, connections kept and shared, addresses judged at every connect."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp

from services.chassis.guarded_http import guarded_session
from services.chassis.net_guard import AddressGuard
from services.media_probe.adapters.http.remote_file import FileBudget, RemoteFile
from services.media_probe.domain.target import TargetRule

AGENT = "tocsin-media-probe"


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """Time-outs of one request, and how many connections a video server is burdened with."""

    connect_timeout: timedelta = timedelta(seconds=3)
    read_timeout: timedelta = timedelta(seconds=5)
    connections_per_server: int = 64


class HttpVideoSource:
    """The VideoSource over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, target: TargetRule, budget: FileBudget) -> None:
        self._session = session
        self._target = target
        self._budget = budget

    @asynccontextmanager
    async def open(self, url: str, known: str = "") -> AsyncGenerator[RemoteFile, None]:
        """A file whose transfer is cut when the block ends. Its reads raise ProbeFailed, the first one Unchanged."""
        file = RemoteFile(self._session, url, self._budget, self._target.redirect, known)
        try:
            yield file
        finally:
            file.close()


@asynccontextmanager
async def open_http_source(
    guard: AddressGuard, target: TargetRule, budget: FileBudget, options: HttpOptions
) -> AsyncGenerator[HttpVideoSource, None]:
    """The source with its own connections, closed at the end of the block."""
    timeout = aiohttp.ClientTimeout(
        sock_connect=options.connect_timeout.total_seconds(), sock_read=options.read_timeout.total_seconds()
    )
    async with guarded_session(
        guard,
        agent=AGENT,
        timeout=timeout,
        connections=options.connections_per_server * 4,
        connections_per_host=options.connections_per_server,
        auto_decompress=False,
    ) as session:
        yield HttpVideoSource(session, target, budget)
