"""The 15-minute average of a room, with a short and a long history: it must not cost more.

Asked of the service itself over gRPC, and over REST through Envoy and the gateway, by one caller at a time and by 32.
The rooms and the time are others with each question. Beside latencies, which take in whatever else the machine does, it
counts the CPU that the service and PostgreSQL use for an answer.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc.aio

from services.cli.client import MeshClient
from tests.bench.calls.costs import cpu_seconds
from tests.bench.mesh import load
from tests.bench.report import Row, row
from tests.bench.stored_history import BUILDING, StoredHistory, percentiles, stored_history
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import AggregationServiceStub

ROOMS = 100
ALONE, TOGETHER = 1, 32
SECONDS = 4.0


@dataclass
class Figures:
    """What was measured with one size of history; latencies are (median, 99th percentile) in milliseconds."""

    readings: int
    filled: float
    alone: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    together: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    per_second: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    """Microseconds for an answer, of the service and PostgreSQL together, beyond what they use at rest."""
    rest: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: {ALONE: [], TOGETHER: []})

    def note(self) -> str:
        """All of it in a line."""
        return (
            f"gRPC alone p50 {_median(self.alone, 0):.2f} p99 {_median(self.alone, 1):.2f} ms, "
            f"{statistics.median(self.cpu):,.0f} us of CPU; 32 at once p50 {_median(self.together, 0):.1f} "
            f"p99 {_median(self.together, 1):.1f} ms, {statistics.median(self.per_second):,.0f}/s; "
            f"REST alone p50 {_median(self.rest[ALONE], 0):.1f} p99 {_median(self.rest[ALONE], 1):.1f} ms, "
            f"32 at once p50 {_median(self.rest[TOGETHER], 0):.1f} p99 {_median(self.rest[TOGETHER], 1):.1f} ms; "
            f"filled in {self.filled:.0f} s"
        )


def _median(pairs: Sequence[tuple[float, float]], place: int) -> float:
    return statistics.median(pair[place] for pair in pairs)


def measure(mesh: MeshClient, runs: int, sizes: Sequence[int]) -> Row:
    """Median latency of one caller at the service, with the longest history beside the shortest."""
    found = asyncio.run(_measure(mesh, runs, sorted(sizes)))
    first, last = found[0], found[-1]
    return row(
        f"average of a room, gRPC, {last.readings:,} readings stored (reference: {first.readings:,})",
        [(longest[0], shortest[0]) for longest, shortest in zip(last.alone, first.alone, strict=True)],
        unit="ms",
        goal="<= 1.2, p99 < 10 ms",
        notes={f"{one.readings:,}": one.note() for one in found},
    )


async def _measure(mesh: MeshClient, runs: int, sizes: Sequence[int]) -> list[Figures]:
    found: list[Figures] = []
    async with stored_history(mesh.instance.postgres_dsn, ROOMS, sizes[-1]) as history:
        for size in sizes:
            figures = Figures(size, await history.grow(size))
            await _ask(mesh, history, ALONE, 0.5)
            idle = _cpu(mesh)
            await asyncio.sleep(SECONDS)
            idle = (_cpu(mesh) - idle) / SECONDS
            for _ in range(runs):
                before = _cpu(mesh)
                latencies, seconds = await _ask(mesh, history, ALONE, SECONDS)
                figures.cpu.append((_cpu(mesh) - before - idle * seconds) * 1e6 / len(latencies))
                figures.alone.append(percentiles(latencies))
                latencies, seconds = await _ask(mesh, history, TOGETHER, SECONDS)
                figures.together.append(percentiles(latencies))
                figures.per_second.append(len(latencies) / seconds)
                for connections, results in figures.rest.items():
                    results.append(await asyncio.to_thread(_rest, mesh, history, connections))
            found.append(figures)
    return found


async def _ask(mesh: MeshClient, history: StoredHistory, callers: int, length: float) -> tuple[list[float], float]:
    """Latencies in seconds, and how long it took in all."""
    latencies: list[float] = []
    token = (("authorization", f"Bearer {mesh.token()}"),)

    async def caller(stub: Any) -> None:
        while time.perf_counter() < until:
            request = pb.GetRoomAverageRequest(building=BUILDING, room=f"r{random.randrange(ROOMS)}")
            request.at.FromMicroseconds(history.end - random.randrange(6) * 5_000_000)
            began = time.perf_counter()
            answer = await stub.GetRoomAverage(request, metadata=token)
            latencies.append(time.perf_counter() - began)
            if not 178 <= answer.statistics.count <= 182:
                raise RuntimeError(f"not an average of 15 minutes: {answer}")

    async with grpc.aio.insecure_channel(f"127.0.0.1:{mesh.instance.ports['aggregation']}") as channel:
        began = time.perf_counter()
        until = began + length
        await asyncio.gather(*(caller(AggregationServiceStub(channel)) for _ in range(callers)))
        return latencies, time.perf_counter() - began


def _rest(mesh: MeshClient, history: StoredHistory, connections: int) -> tuple[float, float]:
    at = datetime.fromtimestamp(history.end // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    url = f"{mesh.instance.edge_url}/v1/buildings/{BUILDING}/rooms/r{{connection}}/average?at={at}"
    result = load(url, None, token=mesh.token(), seconds=SECONDS, connections=connections)
    return result["p50_ms"], result["p99_ms"]


def _cpu(mesh: MeshClient) -> float:
    """Seconds that the service and PostgreSQL have used."""
    used = cpu_seconds(mesh)
    return used["aggregation"] + used["postgres"]
