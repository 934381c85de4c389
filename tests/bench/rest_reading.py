"""One reading over REST, durable before the reply, beside a plain FastAPI + asyncpg service on the same PostgreSQL.

Both run with the mesh's own PostgreSQL (fsync and synchronous commit on), get the same body from the same load
generator over 32 connections, and are measured in turn. Neither logs requests. While the reference is measured the mesh
is idle. The reference is tried with one and with two worker processes, and its better result counts.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import httpx

from services.cli.client import MeshClient
from tests.bench.mesh import ROOT, load
from tests.bench.report import Row, row
from tests.support.ports import free_port

SECONDS = 6.0


def body() -> dict[str, object]:
    return {"building": "bench", "room": "lobby", "sensorType": "temperature", "value": 293.15}


@contextmanager
def reference(dsn: str, workers: int, app: str = "tests.bench.fastapi_reference:app") -> Iterator[str]:
    """The FastAPI service; its URL."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", str(workers), "--no-access-log", "--log-level", "warning"),
        ],
        cwd=ROOT,
        env={**os.environ, "REFERENCE_DSN": dsn},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"{url}/openapi.json")
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(20)


async def _create_reference_table(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE SCHEMA IF NOT EXISTS reference;"
        "DROP TABLE IF EXISTS reference.readings;"
        "CREATE TABLE reference.readings (id bigserial PRIMARY KEY, building text NOT NULL, room text NOT NULL,"
        " sensor_type text NOT NULL, device text NOT NULL, event_time timestamptz NOT NULL, value float8 NOT NULL)"
    )
    await connection.close()


def measure(mesh: MeshClient, runs: int) -> Row:
    """Requests per second, Tocsin beside the reference."""
    dsn = mesh.instance.postgres_dsn
    asyncio.run(_create_reference_table(dsn))
    pairs: list[tuple[float, float]] = []
    p99: list[tuple[float, float]] = []
    for _ in range(runs):
        ours = load(f"{mesh.instance.edge_url}/v1/readings", body(), token=mesh.token(), seconds=SECONDS)
        candidates = []
        for workers in (1, 2):
            with reference(dsn, workers) as url:
                candidates.append(load(f"{url}/v1/readings", body(), seconds=SECONDS))
        theirs = max(candidates, key=lambda result: result["per_second"])
        pairs.append((ours["per_second"], theirs["per_second"]))
        p99.append((ours["p99_ms"], theirs["p99_ms"]))
    medians = [statistics.median(pair[index] for pair in p99) for index in (0, 1)]
    return row(
        "one reading, POST /v1/readings through Envoy, 32 connections",
        pairs,
        unit="requests/s",
        goal=">= 3, p99 not above",
        notes={"p99": f"{medians[0]:.1f} ms; reference {medians[1]:.1f} ms"},
    )
