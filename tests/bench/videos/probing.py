"""A prober of its own for benchmarks, as the service has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.chassis.net_guard import AddressGuard
from services.chassis.origins import Origin, Targets
from services.media_probe.adapters.http.remote_file import FileBudget
from services.media_probe.adapters.http.video_source import HttpOptions, open_http_source
from services.media_probe.adapters.libav.worker_pool import PoolOptions, WorkerPool, open_pool
from services.media_probe.application.prober import ProbeLimits, Prober
from services.media_probe.domain.target import TargetRule


@asynccontextmanager
async def prober_at(url: str, *, workers: int = 1) -> AsyncIterator[tuple[Prober, WorkerPool]]:
    """A prober of the videos at this server, and its workers, one of which runs already."""
    allowed = Targets.of([Origin.of(url)])
    target = TargetRule(url, allowed)
    async with (
        open_pool(PoolOptions(workers=workers)) as pool,
        open_http_source(AddressGuard(allowed), target, FileBudget(), HttpOptions()) as source,
    ):
        await pool.ready()
        yield Prober(source, pool, target, ProbeLimits()), pool
