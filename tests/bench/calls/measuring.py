"""Measures calls in turn with their twins, and counts what they cost."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import asyncpg
from rich.console import Console

from services.cli.client import MeshClient
from tests.bench.calls.call import MOST, Bench, Call, Flow
from tests.bench.calls.costs import counting, counts_at_rest, cpu_seconds
from tests.bench.calls.figures import CallFigures
from tests.bench.calls.flows import until_none
from tests.bench.calls.freezing import frozen
from tests.bench.calls.listing import CALLS
from tests.bench.calls.twins import TABLES
from tests.bench.calls.world import World
from tests.bench.mesh import load
from tests.bench.rest_reading import reference

WORKERS = (1, 2)
_REST_SECONDS = 5.0
"""How long the mesh is watched at rest."""
_COUNTED = 512
"""Calls in a run that is counted."""


def measure(
    mesh: MeshClient, world: World, runs: int, *, names: Collection[str], seconds: float, counted: bool
) -> list[CallFigures]:
    """The calls of these names."""
    return asyncio.run(_measure(mesh, world, runs, names, seconds, counted))


async def _measure(
    mesh: MeshClient, world: World, runs: int, names: Collection[str], seconds: float, counted: bool
) -> list[CallFigures]:
    found: list[CallFigures] = []
    async with _bench(mesh, world) as bench:
        if counted:
            bench.counts_at_rest = await counts_at_rest(mesh, bench.database)
        with ExitStack() as stack:
            twins = [
                stack.enter_context(reference(mesh.instance.postgres_dsn, workers, "tests.bench.calls.twins:app"))
                for workers in WORKERS
            ]
            for call in CALLS:
                if call.name not in names:
                    continue
                Console().print(f"  {call.title}")
                if call.prepare is not None:
                    await call.prepare(bench)
                if isinstance(call, Flow):
                    found.append(await _flow(bench, call, runs, counted))
                else:
                    found.append(await _call(bench, call, runs, twins, seconds, counted))
    return found


@asynccontextmanager
async def _bench(mesh: MeshClient, world: World) -> AsyncGenerator[Bench]:
    database = await asyncpg.connect(mesh.instance.postgres_dsn)
    try:
        await database.execute(TABLES)
        bench = Bench(mesh, world, database)
        meter = Meter(bench)
        await asyncio.sleep(_REST_SECONDS)
        bench.idle = {part: seconds / _REST_SECONDS for part, seconds in meter.spent().items()}
        yield bench
    finally:
        await database.close()


async def _call(bench: Bench, call: Call, runs: int, twins: list[str], seconds: float, counted: bool) -> CallFigures:
    figures, edge, token = CallFigures(call.title), bench.mesh.instance.edge_url, bench.mesh.token()
    if counted:
        first = await _rows(bench, call)
        with frozen(bench.mesh, call.frozen):
            async with counting(bench.mesh, bench.database, bench.counts_at_rest) as figures.counts:
                result = await _load(bench, call, edge, token, first, seconds=60, warmup=0, requests=_COUNTED)
                await _finish(bench, call)
        figures.counted = result["sent"]
    for _ in range(runs):
        first = await _rows(bench, call)
        with frozen(bench.mesh, call.frozen):
            before = Meter(bench)
            ours = await _load(bench, call, edge, token, first, seconds=seconds)
            await _finish(bench, call)
            figures.note(before.spent(), ours["sent"])
        if call.frozen:
            await until_none(bench, call.unfinished)
        candidates = [await _load(bench, call, url, "", await _rows(bench, call), seconds=seconds) for url in twins]
        theirs = max(candidates, key=lambda result: result["per_second"])
        for result, rates, p99 in (
            (ours, figures.rates, figures.p99),
            (theirs, figures.twin_rates, figures.twin_p99),
        ):
            rates.append(result["per_second"])
            p99.append(result["p99_ms"])
    return figures


async def _rows(bench: Bench, call: Call) -> int:
    """The first number of a run, for which the rows have been made."""
    first = call.first() % 10**12 if call.rows is not None else call.first()
    if call.rows is not None:
        await call.rows(bench, first)
    return first


async def _load(
    bench: Bench, call: Call, url: str, token: str, first: int, *, warmup: float = 1.0, **options: Any
) -> dict[str, Any]:
    path = call.path
    for name, value in bench.names.items():
        path = path.replace(f"{{{name}}}", value)
    if call.method:
        options["method"] = call.method
    if call.rows is not None:
        options = {"requests": MOST, **options}
    asked = {"token": token, "warmup": warmup, "spread": call.spread, "first": first, **options}
    return await asyncio.to_thread(load, url + path, call.body, **asked)


async def _finish(bench: Bench, call: Call) -> None:
    if call.unfinished and not call.frozen:
        await until_none(bench, call.unfinished)


async def _flow(bench: Bench, flow: Flow, runs: int, counted: bool) -> CallFigures:
    figures = CallFigures(flow.title)
    if counted:
        async with counting(bench.mesh, bench.database, bench.counts_at_rest) as figures.counts:
            figures.counted = (await flow.run(bench)).items
    for _ in range(runs):
        before = Meter(bench)
        ours = await flow.run(bench)
        figures.note(before.spent(), ours.items)
        figures.rates.append(ours.per_second)
        if flow.twin is not None:
            figures.twin_rates.append((await flow.twin(bench)).per_second)
    return figures


class Meter:
    """The CPU of each part from now on, beyond what it uses at rest."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._began, self._before = time.monotonic(), cpu_seconds(bench.mesh)

    def spent(self) -> dict[str, float]:
        """Part -> seconds."""
        seconds, idle = time.monotonic() - self._began, self._bench.idle
        return {
            part: max(used - self._before.get(part, 0.0) - seconds * idle.get(part, 0.0), 0.0)
            for part, used in cpu_seconds(self._bench.mesh).items()
        }
