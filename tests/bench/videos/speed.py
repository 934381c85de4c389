"""What probing costs beside `ffprobe` as a process: CPU of a probe, and 1,000 alerts from their POST to their rows.

`python -m tests.bench.videos.speed [runs]` measures both (`--cpu`: the first alone; `--profile=FILE` writes a profile
of the prober's own process). Where `ffprobe` is not installed, there is no reference, and no row.
"""

import asyncio
import cProfile
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import count

import asyncpg
import httpx
import uvloop
from rich.console import Console

from services.cli.client import MeshClient
from tests.bench.mesh import running_mesh
from tests.bench.parts import cpu, option
from tests.bench.report import Row, row
from tests.bench.videos.mixture import mixture
from tests.bench.videos.probing import prober_at
from tests.bench.videos.processes import COMMAND, FFPROBE, source_design
from tests.bench.videos.serving import serving

PROBES, PROCESSES, AT_A_TIME = 1_000, 60, 16
ALERTS, CONNECTIONS = 1_000, 32
_PATIENCE = 300.0


def _files() -> dict[str, bytes]:
    """All but the recordings of an hour, so that both see the same files often enough."""
    return {name: data for name, (kind, data) in mixture().items() if "1 h" not in kind}


def _paths(names: Sequence[str], tries: int, numbers: "count[int]") -> list[str]:
    return [f"/0/{next(numbers)}/{names[n % len(names)]}" for n in range(tries)]


async def _probe_all(url: str, paths: Sequence[str]) -> float:
    """Milliseconds of CPU for a probe, of this process and its workers."""
    async with prober_at(url) as (prober, pool):
        await prober.probe(paths[0])
        (worker,) = pool.pids
        left = iter(paths)

        async def some() -> None:
            for path in left:
                if (outcome := await prober.probe(path)).facts is None:
                    raise RuntimeError(f"{path}: {outcome.error}")

        profile = cProfile.Profile() if option("profile") else None
        own, (theirs, _) = time.process_time(), cpu(worker)
        if profile is not None:
            profile.enable()
        await asyncio.gather(*(some() for _ in range(AT_A_TIME)))
        if profile is not None:
            profile.disable()
            profile.dump_stats(option("profile"))
        own, theirs = time.process_time() - own, cpu(worker)[0] - theirs
        Console().print(
            f"  [dim]prober {own / len(paths) * 1000:.2f} ms, worker {theirs / len(paths) * 1000:.2f} ms[/]"
        )
        return (own + theirs) / len(paths) * 1000


def _run_all(url: str, paths: Sequence[str]) -> float:
    """Milliseconds of CPU for a process, one after the other."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for path in paths:
        done = subprocess.run([*COMMAND, url + path], capture_output=True, check=True)
        if not done.stdout:
            raise RuntimeError(f"ffprobe says nothing of {path}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(paths) * 1000


def measure_cpu(runs: int) -> list[Row]:
    """Probes that a second of CPU is good for, beside those of `ffprobe`."""
    if FFPROBE is None:
        Console().print("[yellow]ffprobe is not installed: the CPU of a probe has no reference, and is left out[/]")
        return []
    files, numbers = _files(), count()
    names = sorted(files)
    pairs: list[tuple[float, float]] = []
    with serving(files) as (url,):
        for _ in range(runs):
            ours = uvloop.run(_probe_all(url, _paths(names, PROBES, numbers)))
            pairs.append((1000 / ours, 1000 / _run_all(url, _paths(names, PROCESSES, numbers))))
    each = " and ".join(f"{1000 / sorted(one)[len(one) // 2]:.2f} ms" for one in zip(*pairs, strict=True))
    return [
        row(
            "probes over HTTP for a second of CPU, prober and worker; the mixed corpus",
            pairs,
            unit="probes",
            goal=">= 100",
            notes={"reference": "ffprobe as a process, on the same URLs", "CPU for one": each},
        )
    ]


async def _post_all(url: str, alerts: Sequence[dict[str, object]], token: str) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limits = httpx.Limits(max_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=_PATIENCE) as client:
        left = iter(alerts)

        async def some() -> None:
            for alert in left:
                (await client.post("/alert", json=alert)).raise_for_status()

        await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


async def _alerts(url: str, table: str, paths: Sequence[str], dsn: str, token: str = "") -> float:
    """Alerts a second, from the first POST until every row is committed."""
    run = f"{time.time_ns():x}"
    alerts = [
        {"uid": f"{run}-{n}", "video": path, "timestamp": 1.7e9 + n, "store": f"store-{n % 8}"}
        for n, path in enumerate(paths)
    ]
    database = await asyncpg.connect(dsn)
    try:
        began = time.perf_counter()
        await _post_all(url, alerts, token)
        query = f"SELECT count(*) FROM {table} WHERE uid LIKE $1 AND width > 0"
        while await database.fetchval(query, f"{run}-%") < len(alerts):
            if time.perf_counter() - began > _PATIENCE:
                raise RuntimeError(f"not all of {len(alerts)} alerts have rows after {_PATIENCE} s")
            await asyncio.sleep(0.01)
        return len(alerts) / (time.perf_counter() - began)
    finally:
        await database.close()


def measure_alerts(runs: int) -> list[Row]:
    """1,000 alerts from POST to committed rows, beside the source design on the same PostgreSQL and the same videos."""
    if FFPROBE is None:
        Console().print("[yellow]ffprobe is not installed: the source design cannot run, and is left out[/]")
        return []
    files, numbers = _files(), count()
    names = sorted(files)
    pairs: list[tuple[float, float]] = []
    with serving(files) as (video_url,), running_mesh(TOCSIN_MEDIA_PROBE_VIDEO_SERVER=video_url) as mesh:
        pairs.extend(_pair(mesh, video_url, names, numbers) for _ in range(runs))
    return [
        row(
            f"{ALERTS:,} alerts, POST /alert to committed rows with width and height",
            pairs,
            unit="alerts/s",
            goal=">= 10",
            notes={
                "reference": f"aiohttp, ffprobe as a process ({os.cpu_count()} at a time), insert: {ALERTS // 4} alerts"
            },
        )
    ]


def _pair(mesh: MeshClient, video_url: str, names: Sequence[str], numbers: "count[int]") -> tuple[float, float]:
    dsn = mesh.instance.postgres_dsn
    paths = _paths(names, ALERTS, numbers)
    ours = uvloop.run(_alerts(mesh.instance.edge_url, "media_probe.videos", paths, dsn, mesh.token()))
    with source_design(video_url, dsn) as url:
        theirs = uvloop.run(_alerts(url, "reference.videos", _paths(names, ALERTS // 4, numbers), dsn))
    return ours, theirs


def measure(runs: int) -> list[Row]:
    """Both."""
    return [*measure_cpu(runs), *measure_alerts(runs)]


if __name__ == "__main__":
    asked = [one for one in sys.argv[1:] if not one.startswith("-")]
    only = measure_cpu if option("profile") or "--cpu" in sys.argv else measure
    for found in only(int(next(iter(asked), "1"))):
        Console(width=160).print(
            f"{found.path}: {found.figure:,.0f} {found.unit}, reference {found.reference:,.1f}, "
            f"ratio {found.ratio:.1f}; {found.notes}"
        )
