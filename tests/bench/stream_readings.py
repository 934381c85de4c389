"""Readings by gRPC stream, from the client to committed rows, beside raw binary COPY of the same rows.

The client streams batches of columns through Envoy with several in flight. The clock runs from the first byte until
the last reading is committed and answered from the aggregation service's tables. The reference copies the same rows
(series number, time, value) by one connection, in binary, into an equal logged table without an index, on the same
PostgreSQL.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator

import asyncpg
import grpc.aio
import numpy as np
import psutil

from services.cli.client import MeshClient
from services.cli.runtime.status import read_reports
from tests.bench.report import Row, row
from tocsin.ingestion.v1 import reading_pb2, reading_service_pb2

SERIES = 1_000
BATCH = 5_000
IN_FLIGHT = 8
STEP_US = 10_000_000
SETTLE_SECONDS = 300.0


def batches(total: int, start_us: int) -> list[bytes]:
    """Serialised requests, made before the clock starts. Each series has a reading every 10 s, from the start on."""
    series = [
        reading_pb2.ReadingColumns.Series(building="bench-stream", room=f"r{n}", sensor_type="temperature", device="d")
        for n in range(SERIES)
    ]
    step_us = STEP_US
    index = np.arange(total, dtype=np.int64)
    numbers = (index % SERIES).astype(np.uint32)
    times = start_us + (index // SERIES) * step_us + numbers.astype(np.int64) * 100
    values = 290.0 + 5.0 * np.sin(times / 6e8)
    out: list[bytes] = []
    for first in range(0, total, BATCH):
        part = slice(first, first + BATCH)
        columns = reading_pb2.ReadingColumns(series=series)
        columns.series_index.extend(numbers[part].tolist())
        columns.event_time_us.extend(times[part].tolist())
        columns.value.extend(values[part].tolist())
        request = reading_service_pb2.StreamReadingsRequest(sequence=first, columns=columns)
        out.append(request.SerializeToString())
    return out


async def stream(mesh: MeshClient, requests: list[bytes]) -> int:
    """Sends everything; returns how many readings were accepted (durable in JetStream)."""
    window = asyncio.Semaphore(IN_FLIGHT)
    accepted = 0

    async def feed() -> AsyncIterator[bytes]:
        for request in requests:
            await window.acquire()
            yield request

    address = mesh.instance.edge_url.removeprefix("http://")
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            "/tocsin.ingestion.v1.ReadingService/StreamReadings",
            request_serializer=lambda data: data,
            response_deserializer=reading_service_pb2.StreamReadingsResponse.FromString,
        )
        async for answer in call(feed(), metadata=[("authorization", f"Bearer {mesh.token()}")]):
            accepted += answer.accepted
            window.release()
            if answer.rejections:
                raise RuntimeError(f"rejected: {answer.rejections[0]}")
    return accepted


async def ours(mesh: MeshClient, total: int, start_us: int) -> tuple[float, float]:
    """Readings/s until committed, and until acknowledged."""
    requests = batches(total, start_us)
    connection = await asyncpg.connect(mesh.instance.postgres_dsn)
    before = await stored(connection)
    start = time.perf_counter()
    accepted = await stream(mesh, requests)
    acknowledged = time.perf_counter() - start
    if accepted != total:
        raise RuntimeError(f"{accepted} of {total} readings accepted")
    while await stored(connection) - before < total:
        if time.perf_counter() - start > SETTLE_SECONDS:
            raise RuntimeError(
                f"{await stored(connection) - before} of {total} readings committed in {SETTLE_SECONDS} s"
            )
        await asyncio.sleep(0.02)
    committed = time.perf_counter() - start
    await connection.close()
    return total / committed, total / acknowledged


async def stored(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Readings that aggregation has committed, by its own counter."""
    value: int = await connection.fetchval("SELECT coalesce(sum(readings), 0)::bigint FROM aggregation.partitions")
    return value


async def copy(dsn: str, total: int) -> float:
    """Rows/s of raw binary COPY by one connection."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE SCHEMA IF NOT EXISTS reference")
    await connection.execute("DROP TABLE IF EXISTS reference.raw_readings")
    await connection.execute(
        "CREATE TABLE reference.raw_readings"
        " (series int NOT NULL, event_time timestamptz NOT NULL, value float8 NOT NULL)"
    )
    rows = np.zeros(
        total,
        dtype=[
            *(("fields", ">i2"), ("series_size", ">i4"), ("series", ">i4")),
            *(("time_size", ">i4"), ("time", ">i8"), ("value_size", ">i4"), ("value", ">f8")),
        ],
    )
    rows["fields"], rows["series_size"], rows["time_size"], rows["value_size"] = 3, 4, 8, 8
    rows["series"] = np.arange(total) % SERIES
    rows["time"] = np.arange(total) * 10_000_000 // SERIES
    rows["value"] = 290.0
    payload = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0) + rows.tobytes() + struct.pack(">h", -1)

    async def source() -> AsyncIterator[bytes]:
        for first in range(0, len(payload), 1 << 20):
            yield payload[first : first + (1 << 20)]

    start = time.perf_counter()
    await connection.copy_to_table("raw_readings", schema_name="reference", source=source(), format="binary")
    elapsed = time.perf_counter() - start
    await connection.close()
    return total / elapsed


def memory(mesh: MeshClient) -> dict[str, float]:
    """Resident memory of ingestion and aggregation, MiB."""
    pids = {report.name: report.pid for report in read_reports(mesh.state) if report.pid}
    return {
        name: psutil.Process(pids[name]).memory_info().rss / 2**20
        for name in ("ingestion", "aggregation")
        if name in pids
    }


def measure(mesh: MeshClient, runs: int, total: int) -> Row:
    """Readings per second, Tocsin beside COPY. Each run goes on where the one before ended; the last one ends now."""
    warm, span = SERIES * 100, total // SERIES * STEP_US
    first = int(time.time() * 1e6) - 5_000_000 - runs * span
    asyncio.run(ours(mesh, warm, first - warm // SERIES * STEP_US))
    before = memory(mesh)
    pairs: list[tuple[float, float]] = []
    acknowledged: list[float] = []
    for number in range(runs):
        committed, acked = asyncio.run(ours(mesh, total, first + number * span))
        pairs.append((committed, asyncio.run(copy(mesh.instance.postgres_dsn, total))))
        acknowledged.append(acked)
    after = memory(mesh)
    grown = ", ".join(f"{name} {before[name]:.0f} -> {after[name]:.0f} MiB" for name in after)
    return row(
        f"readings by gRPC stream to committed rows and windows, {total:,} each run",
        pairs,
        unit="readings/s",
        goal=">= 0.25, memory flat",
        notes={"acknowledged (durable)": f"{sorted(acknowledged)[len(acknowledged) // 2]:,.0f}/s", "memory": grown},
    )
