"""A prober on real HTTP and real workers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from services.chassis.net_guard import AddressGuard
from services.chassis.origins import Origin, Targets
from services.media_probe.adapters.http.remote_file import FileBudget
from services.media_probe.adapters.http.video_source import HttpOptions, HttpVideoSource, open_http_source
from services.media_probe.adapters.libav.worker_pool import PoolOptions, WorkerPool, open_pool
from services.media_probe.application.prober import ProbeLimits, Prober
from services.media_probe.domain.target import TargetRule
from tests.support.video_server import VideoServer


@dataclass
class Rig:
    """A prober and its parts."""

    prober: Prober
    source: HttpVideoSource
    pool: WorkerPool


OpenRig = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def open_rig() -> OpenRig:
    """`async with open_rig(server, max_bytes=..., within=...)`."""

    @asynccontextmanager
    async def make(
        server: VideoServer,
        *,
        max_bytes: int = 1 << 20,
        max_requests: int = 32,
        within: timedelta = timedelta(seconds=20),
        read_timeout: timedelta = timedelta(seconds=5),
        workers: int = 1,
        job_within: timedelta = timedelta(seconds=10),
        first_bytes: int = 16 * 1024,
    ) -> AsyncIterator[Rig]:
        allowed = Targets.of([Origin.of(server.url)])
        target = TargetRule(server.url, allowed)
        budget = FileBudget(max_bytes=max_bytes, max_requests=max_requests)
        options = HttpOptions(read_timeout=read_timeout)
        async with (
            open_pool(PoolOptions(workers=workers, job_within=job_within)) as pool,
            open_http_source(AddressGuard(allowed), target, budget, options) as source,
        ):
            limits = ProbeLimits(within=within, first_bytes=first_bytes)
            yield Rig(Prober(source, pool, target, limits), source, pool)

    return make
