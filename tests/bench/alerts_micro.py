"""What a video alert costs behind the door: from the stream to row, events and state.

`python -m tests.bench.alerts_micro [alerts] [runs]` starts its own PostgreSQL and NATS (every commit and every stored
message reaches the disk, as in production), media-probe, ingestion and a video server. Both services are held while
the stream is filled; the time is from their release until every alert has its row at media-probe, has its events
published, and is PROBED at ingestion. `--profile=FILE` writes a profile of media-probe, `--profile-ingestion=FILE` one
of ingestion.
"""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import uvloop

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT, VIDEOS
from services.ingestion.settings import MIGRATIONS as INGESTION
from tests.bench.calls.world import VIDEO, running_world
from tests.bench.parts import CpuMeter, Part, Servers, servers, service, wait_idle
from tocsin.events.v1.alerts_pb2 import VideoAlertReported

MEDIA_PROBE = INGESTION.parents[1] / "media_probe" / "migrations"
_PROBED = 3


async def fill(where: Servers, run: int, count: int) -> None:
    """Accepted alerts: their rows at ingestion, and their events in the stream."""
    alerts = [
        VideoAlertReported(uid=f"r{run}-{n}", video=VIDEO, timestamp=1.7e9 + n, store="store-1") for n in range(count)
    ]
    connection = await asyncpg.connect(where.dsn, server_settings={"search_path": "ingestion"})
    await connection.copy_records_to_table(
        "alerts",
        records=[(a.uid, a.video, a.timestamp, a.store) for a in alerts],
        columns=["uid", "video", "timestamp", "store"],
    )
    await connection.close()
    publisher = Publisher(where.nats, source="bench", max_in_flight=64)
    await publisher.publish_many([Event(ALERT_REPORTED_SUBJECT, a, id=f"alert-{a.uid}") for a in alerts])


@asynccontextmanager
async def held(*parts: Part) -> AsyncIterator[None]:
    """The processes do nothing during the block."""
    for part in parts:
        os.kill(part.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for part in parts:
            os.kill(part.pid, signal.SIGCONT)


async def finish(where: Servers, run: int, count: int, already: int) -> None:
    """Returns when every alert of the run has its state, its row and its events."""
    connection = await asyncpg.connect(where.dsn)
    try:
        while True:
            await asyncio.sleep(0.02)
            states = await connection.fetchval(
                "SELECT count(*) FROM ingestion.alerts WHERE state = $1 AND uid LIKE $2", _PROBED, f"r{run}-%"
            )
            if states < count:
                continue
            rows = await connection.fetchval(
                "SELECT count(*) FROM media_probe.videos WHERE state = 'PROBED' AND uid LIKE $1", f"r{run}-%"
            )
            stream = await where.nats.js.stream_info(VIDEOS)
            if rows == count and stream.state.messages == already + 2 * count:
                return
    finally:
        await connection.close()


async def measure(where: Servers, count: int, runs: int) -> None:
    """All runs."""
    settings = dict(one.removeprefix("--set=").split(":") for one in sys.argv[1:] if one.startswith("--set="))
    profiles = dict(one.removeprefix("--").split("=") for one in sys.argv[1:] if one.startswith("--profile"))
    with (
        running_world() as world,
        service(
            where, "media_probe", {"VIDEO_SERVER": world.video_url, **settings}, profile=profiles.get("profile", "")
        ) as prober,
        service(where, "ingestion", {}, profile=profiles.get("profile-ingestion", "")) as ingestion,
    ):
        rates: list[float] = []
        for run in range(runs + 1):
            size = count if run else count // 10  # the first one warms up
            already = (await where.nats.js.stream_info(VIDEOS)).state.messages
            async with held(prober, ingestion):
                await fill(where, run, size)
            meter = CpuMeter(
                media_probe=prober.pid,
                ingestion=ingestion.pid,
                postgresql=where.postgres.pid,
                broker=where.broker.pid,
            )
            began = time.perf_counter()
            await finish(where, run, size, already)
            took = time.perf_counter() - began
            if run:
                rates.append(size / took)
                print(f"{size} alerts: {size / took:8,.0f} /s   CPU ms each: {meter.each(size)}", flush=True)
            await wait_idle(prober.pid, ingestion.pid)
        print(f"median: {statistics.median(rates):,.0f} alerts/s")


async def main() -> None:
    """Reads the arguments."""
    numbers = [int(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    count, runs = [*numbers, *(1_000, 3)[len(numbers) :]]
    async with servers({"ingestion": INGESTION, "media_probe": MEDIA_PROBE}) as where:
        await measure(where, count, runs)


if __name__ == "__main__":
    uvloop.run(main())
