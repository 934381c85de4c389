"""What ingestion costs by itself: decode, judge, coalesce, encode, publish; by stages, and as a process over gRPC.

`python -m tests.bench.ingest_micro [seconds]` starts PostgreSQL and NATS as tests do (no fsync per message: what is
shown is the cost of the service, not of the disk) and the service as a process of its own; prints rates and CPU time.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc.aio
import numpy as np
import uvloop

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import TopologyOptions, ensure_streams, open_nats
from services.chassis.nats.topology import READINGS
from services.ingestion.adapters.grpc import mappers
from services.ingestion.adapters.nats.reading_lane import encode_batch
from services.ingestion.application.pending_batch import PendingBatch
from services.ingestion.domain.reading import TimeLimits
from services.ingestion.domain.reading_columns import SeriesTable, judge
from services.ingestion.settings import MIGRATIONS
from tests.support.ingestion import TYPES, series
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tocsin.ingestion.v1 import reading_pb2, reading_service_pb2
from tocsin.ingestion.v1.reading_service_pb2_grpc import ReadingServiceStub

ROWS, SERIES, WINDOW = 5_000, 200, 8


def columns(start_us: int) -> reading_pb2.ReadingColumns:
    """A batch that a client would send."""
    table = [
        reading_pb2.ReadingColumns.Series(building="hq", room=f"r{n}", sensor_type="temperature", unit="C")
        for n in range(SERIES)
    ]
    return reading_pb2.ReadingColumns(
        series=table,
        series_index=(np.arange(ROWS) % SERIES).tolist(),
        event_time_us=(start_us + np.arange(ROWS)).tolist(),
        value=np.random.default_rng(1).uniform(0, 40, ROWS).tolist(),
    )


def stage(name: str, work: Callable[[], object]) -> None:
    """Prints the median of many runs."""
    times: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    took = statistics.median(times)
    print(f"  {name:34s} {took * 1e6:8.0f} us per {ROWS} rows  {ROWS / took / 1e6:8.1f} M rows/s")


def stages() -> None:
    """The columnar path without input and output."""
    now = time.time_ns() // 1000
    request = reading_service_pb2.StreamReadingsRequest(sequence=1, columns=columns(now - ROWS))
    raw = request.SerializeToString()
    kind = TYPES[0]
    known = [series(f"d{n}", 8, kind) for n in range(SERIES)]
    entries = [(one, one.limits.conversion("C")) for one in known]
    table, limits = SeriesTable(entries), TimeLimits()
    index, times, values = mappers.columns(request.columns)
    judged = judge(table, index, times, values, now_us=now, limits=limits)

    def seal() -> None:
        for piece in judged.pieces:
            batch = PendingBatch("")
            batch.add(piece)
            encode_batch(batch.seal(piece.partition), 0)

    print(f"stages ({ROWS} rows, {SERIES} series, 8 partitions, {len(raw) / ROWS:.1f} bytes a row):")
    stage("parse the request", lambda: reading_service_pb2.StreamReadingsRequest.FromString(raw))
    stage("columns to numpy", lambda: mappers.columns(request.columns))
    stage("compare the series table", lambda: request.columns.series == request.columns.series)
    stage("resolve the series table", lambda: SeriesTable(entries))
    stage("judge and route", lambda: judge(table, index, times, values, now_us=now, limits=limits))
    stage("coalesce and encode", seal)


async def stream(stub: ReadingServiceStub, token: str, seconds: float) -> tuple[int, float]:
    """Readings acknowledged, and the seconds they took."""
    slots = asyncio.Semaphore(WINDOW)
    until = time.perf_counter() + seconds
    now = time.time_ns() // 1000
    batch = columns(now)
    times = np.arange(ROWS)

    async def batches() -> AsyncIterator[reading_service_pb2.StreamReadingsRequest]:
        number = 0
        while time.perf_counter() < until:
            await slots.acquire()
            del batch.event_time_us[:]
            batch.event_time_us.extend((now - 10**9 + number * ROWS + times).tolist())
            number += 1
            yield reading_service_pb2.StreamReadingsRequest(sequence=number, columns=batch)

    accepted, began = 0, time.perf_counter()
    async for answer in stub.StreamReadings(batches(), metadata=(("authorization", f"Bearer {token}"),)):
        accepted += answer.accepted
        slots.release()
    return accepted, time.perf_counter() - began


async def singles(stub: ReadingServiceStub, token: str, seconds: float, callers: int) -> tuple[list[float], float]:
    """Latencies of single readings by concurrent callers."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def call(number: int) -> None:
        item = reading_pb2.Reading(building="hq", room=f"r{number}", sensor_type="temperature", unit="C")
        while (began := time.perf_counter()) < until:
            item.value = began % 40
            request = reading_service_pb2.CreateReadingRequest(reading=item)
            await stub.CreateReading(request, metadata=(("authorization", f"Bearer {token}"),))
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*map(call, range(callers)))
    return latencies, time.perf_counter() - began


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def process(seconds: float) -> None:
    """The service as a process."""
    with tempfile.TemporaryDirectory(prefix="ingest-micro-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "pg").mkdir()
        postgres, broker = PostgresServer(root / "pg"), NatsServer(root / "nats")
        postgres.start()
        broker.start()
        try:
            async with postgres.database({"ingestion": MIGRATIONS}) as dsn, open_nats(broker.url, name="bench") as nats:
                await ensure_streams(nats, TopologyOptions())
                await measure(root, dsn, broker.url, seconds, nats.js.purge_stream)
        finally:
            broker.stop()
            postgres.stop()


async def measure(root: Path, dsn: str, url: str, seconds: float, purge: Callable[..., object]) -> None:
    """Starts the service, drives it, prints."""
    issuer, port = DevIssuer.open(root / "auth"), free_port()
    environment = os.environ | {
        "TOCSIN_POSTGRES_DSN": dsn,
        "TOCSIN_NATS_URL": url,
        "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
        "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
        "TOCSIN_LOG_LEVEL": "warning",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    service = subprocess.Popen([sys.executable, "-m", "services.ingestion"], env=environment)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            stub, token = ReadingServiceStub(channel), issuer.mint()
            await singles(stub, token, 0.5, 32)
            for callers in (1, 8, 32, 128):
                used = cpu(service.pid)
                latencies, took = await singles(stub, token, seconds, callers)
                latencies.sort()
                count = len(latencies)
                print(
                    f"single, {callers:3d} callers: {count / took:8.0f} /s  p50 {latencies[count // 2] * 1e3:6.2f} ms"
                    f"  p99 {latencies[int(count * 0.99)] * 1e3:6.2f} ms"
                    f"  service CPU {(cpu(service.pid) - used) / count * 1e6:5.0f} us each"
                )
            await stream(stub, token, 1)
            await purge(READINGS)  # pyright: ignore
            used, own = cpu(service.pid), resource.getrusage(resource.RUSAGE_SELF).ru_utime
            accepted, took = await stream(stub, token, seconds)
            client = resource.getrusage(resource.RUSAGE_SELF).ru_utime - own
            print(
                f"stream of columns:    {accepted / took:10,.0f} readings/s"
                f"  service CPU {(cpu(service.pid) - used) / accepted * 1e9:5.0f} ns each"
                f"  client CPU {client / accepted * 1e9:5.0f} ns each"
            )
            memory = Path(f"/proc/{service.pid}/status").read_text()
            print("memory:", *[line for line in memory.splitlines() if line.startswith(("VmRSS", "VmHWM"))])
    finally:
        service.terminate()
        print("exit status of the service:", service.wait(30))


if __name__ == "__main__":
    stages()
    uvloop.run(process(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
