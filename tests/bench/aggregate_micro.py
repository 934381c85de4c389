"""What aggregation costs by itself: from messages in JetStream to committed rows and windows, beside raw binary COPY.

`python -m tests.bench.aggregate_micro [readings] [series] [interval in seconds]` starts its own PostgreSQL and NATS
(every commit reaches the disk, as in production), fills the stream, then starts the service as a process of its own and
takes the time until everything is committed. The reference copies the same rows (series number, time, value) by one
connection, in binary, into a logged table without an index. `--late=0.05` has so many readings come late,
`--rules=1000` has so many alarm rules, a limit for one room each that is never reached,
`--profile=FILE` writes a profile of the service.
"""

import asyncio
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import numpy as np
import psutil
import uvloop

from services.aggregation.settings import MIGRATIONS
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection, Publisher, TopologyOptions, ensure_streams, open_nats
from services.chassis.nats.envelope import Encoded
from services.chassis.nats.topology import readings_subject
from services.ingestion.adapters.nats.reading_lane import encode_batch
from services.ingestion.domain.reading_columns import Piece
from services.ingestion.domain.series import Series, SeriesKey
from tests.support.ingestion import TYPES
from tests.support.nats import NatsServer
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer

PARTITIONS, ROWS = 8, 5_000


def messages(total: int, number: int, interval_us: int, late: float = 0.0) -> list[tuple[int, bytes]]:
    """(partition, ReadingBatch) as ingestion publishes them: readings of all series by time, ending now."""
    known = [Series(SeriesKey("b1", f"r{n}", TYPES[0].id, "d1"), TYPES[0], PARTITIONS) for n in range(number)]
    rounds = total // number
    start = time.time_ns() // 1000 - rounds * interval_us
    chance = np.random.default_rng(1)
    found: list[tuple[int, bytes]] = []
    for partition in range(PARTITIONS):
        own = tuple(one for one in known if one.partition == partition)
        count = len(own) * rounds
        index = np.tile(np.arange(len(own), dtype=np.uint32), rounds)
        times = start + np.repeat(np.arange(rounds), len(own)) * interval_us + chance.integers(0, 200_000, count)
        values = 290 + 5 * np.sin(times / 6e8)
        # A late reading comes some messages after its neighbours.
        place = np.arange(count) + np.where(chance.random(count) < late, 5 * ROWS, 0)
        order = np.argsort(place, kind="stable")
        index, times, values = index[order], times[order], values[order]
        for first in range(0, count, ROWS):
            at = slice(first, first + ROWS)
            found.append((partition, encode_batch(Piece(partition, own, index[at], times[at], values[at], None), 0)))
    return found


async def fill(nats: NatsConnection, batches: list[tuple[int, bytes]]) -> None:
    """Publishes everything."""
    publisher = Publisher(nats, source="bench", max_in_flight=64)
    outgoing = [
        Encoded(readings_subject(partition), data, {"Nats-Msg-Id": f"bench-{place}"})
        for place, (partition, data) in enumerate(batches)
    ]
    for outcome in await publisher.publish_all(outgoing):
        if isinstance(outcome, Exception):
            raise outcome


async def reference(dsn: str, total: int, number: int) -> float:
    """Rows/s of raw binary COPY."""
    rows = np.zeros(
        total,
        [
            *(("fields", ">i2"), ("series_size", ">i4"), ("series", ">i4")),
            *(("time_size", ">i4"), ("time", ">i8"), ("value_size", ">i4"), ("value", ">f8")),
        ],
    )
    rows["fields"], rows["series_size"], rows["time_size"], rows["value_size"] = 3, 4, 8, 8
    rows["series"], rows["time"], rows["value"] = np.arange(total) % number, np.arange(total) * 1000, 290.0
    content = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0) + rows.tobytes() + struct.pack(">h", -1)
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "CREATE TABLE public.raw (series int NOT NULL, at timestamptz NOT NULL, value float8 NOT NULL)"
    )

    async def source() -> AsyncIterator[bytes]:
        for first in range(0, len(content), 1 << 20):
            yield content[first : first + (1 << 20)]

    began = time.perf_counter()
    await connection.copy_to_table("raw", schema_name="public", source=source(), format="binary")
    took = time.perf_counter() - began
    await connection.execute("DROP TABLE public.raw")
    await connection.close()
    return total / took


async def add_rules(connection: "asyncpg.Connection[asyncpg.Record]", count: int, rooms: int) -> None:
    """Limits that no reading reaches, room after room."""
    await connection.execute(
        """
        INSERT INTO alarm_rules
            (id, title, building, room, sensor_type, device, severity, disabled, tenant, notify, condition)
        SELECT 'r' || n, '', 'b1', 'r' || n % $2, $3, '', 2, false, '', '{}', $4::jsonb
        FROM generate_series(0, $1 - 1) n
        """,
        count,
        rooms,
        TYPES[0].id,
        json.dumps({"kind": "THRESHOLD", "above": True, "limit": 1000.0, "hysteresis": 0.0, "min_duration": 0}),
    )


def cpu(pid: int) -> float:
    """Seconds of CPU that a process and its children have used."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


async def measure(
    root: Path, postgres: PostgresServer, broker: NatsServer, total: int, number: int, interval: float
) -> None:
    """One run."""
    async with postgres.database({"aggregation": MIGRATIONS}) as dsn, open_nats(broker.url, name="bench") as nats:
        await ensure_streams(nats, TopologyOptions())
        late = sum(float(one.removeprefix("--late=")) for one in sys.argv if one.startswith("--late="))
        batches = messages(total, number, int(interval * 1e6), late)
        await fill(nats, batches)
        size = sum(len(data) for _, data in batches)
        print(f"{total:,} readings of {number} series, one each {interval} s; {size / total:.1f} bytes a reading")
        before = await reference(dsn, total, number)
        issuer = DevIssuer.open(root / "auth")
        environment = os.environ | {
            "TOCSIN_POSTGRES_DSN": dsn,
            "TOCSIN_NATS_URL": broker.url,
            "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
            "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
            "TOCSIN_LOG_LEVEL": "warning",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        command = [sys.executable, "-m", "services.aggregation"]
        for argument in sys.argv:
            if argument.startswith("--profile="):
                command[1:1] = ["-m", "cProfile", "-o", argument.removeprefix("--profile=")]
        connection = await asyncpg.connect(dsn, server_settings={"search_path": "aggregation"})
        rules = sum(int(one.removeprefix("--rules=")) for one in sys.argv if one.startswith("--rules="))
        await add_rules(connection, rules, number)
        postgres_before = cpu(postgres.pid)
        service = subprocess.Popen(command, env=environment)
        first = last = 0.0
        stored = at_first = most_memory = 0
        try:
            while stored < total:
                await asyncio.sleep(0.05)
                stored = await connection.fetchval("SELECT coalesce(sum(readings), 0)::bigint FROM partitions")
                last = time.perf_counter()
                first = first or (last if stored else 0.0)
                at_first = stored if first == last else at_first
                most_memory = max(most_memory, psutil.Process(service.pid).memory_info().rss)
            used, postgres_used = cpu(service.pid), cpu(postgres.pid) - postgres_before
            rate = (total - at_first) / (last - first)
            windows = await connection.fetch("SELECT step_us / 1000000, count(*) FROM windows GROUP BY 1 ORDER BY 1")
            events = await connection.fetchval("SELECT count(*) FROM outbox")
        finally:
            service.terminate()
            service.wait(30)
        after = await reference(dsn, total, number)
        raw = (before + after) / 2
        print(f"readings committed: {rate:12,.0f} /s   ({last - first:.2f} s)")
        print(f"raw binary COPY:    {raw:12,.0f} /s   ratio {rate / raw:.2f}")
        print(f"CPU: service {used:.2f} s, PostgreSQL {postgres_used:.2f} s; most memory {most_memory / 2**20:.0f} MiB")
        print("windows:", {f"{step}s": count for step, count in windows}, "events left in the outbox:", events)
        await connection.close()


async def main() -> None:
    """Reads the arguments."""
    numbers = [float(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    total, number, interval = [*numbers, *(2_000_000, 1_000, 5.0)[len(numbers) :]]
    with tempfile.TemporaryDirectory(prefix="aggregate-micro-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "pg").mkdir()
        postgres, broker = PostgresServer(root / "pg", {}), NatsServer(root / "nats", syncs=True)
        postgres.start()
        broker.start()
        try:
            await measure(root, postgres, broker, int(total) // int(number) * int(number), int(number), interval)
        finally:
            broker.stop()
            postgres.stop()


if __name__ == "__main__":
    uvloop.run(main())
