"""Alerts a second by `CONCURRENT_PROBES` and replicas, at servers that answer at once, after 50 and after 500 ms.

`python -m tests.bench.videos.places [alerts]` starts PostgreSQL, NATS, media-probe and video servers of its own. The
stream is filled while media-probe is held; the time is from its release to the last row. The videos lie on eight
servers and belong to as many stores, so that no share bounds them. Prints what `scripts/pictures/probes.py` draws.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

import asyncpg
import uvloop

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from tests.bench.alerts_micro import MEDIA_PROBE, held
from tests.bench.parts import Part, Servers, servers, service
from tests.bench.videos.serving import serving
from tests.support.eventually import eventually
from tests.support.videos import make_video
from tocsin.events.v1.alerts_pb2 import VideoAlertReported

PLACES, REPLICAS, DELAYS = (6, 12, 24, 48, 96, 192), (1, 2), (0, 50, 500)
ORIGINS = 8


async def _rate(
    where: Servers, connection: asyncpg.Connection, parts: Sequence[Part], urls: Sequence[str], delay: int, count: int
) -> float:
    run = f"{time.time_ns():x}"
    events = [
        Event(
            ALERT_REPORTED_SUBJECT,
            VideoAlertReported(
                uid=f"{run}-{n}",
                video=f"{urls[n % ORIGINS]}/{delay}/{run}-{n}/a.avi",
                timestamp=1.7e9 + n,
                store=f"store-{n % ORIGINS}",
            ),
            id=f"{run}-{n}",
        )
        for n in range(count)
    ]
    publisher = Publisher(where.nats, source="bench", max_in_flight=64)
    async with held(*parts):
        await publisher.publish_many(events)
    began = time.perf_counter()

    async def done() -> bool:
        query = "SELECT count(*) FROM media_probe.videos WHERE uid LIKE $1 AND state = 'PROBED'"
        return await connection.fetchval(query, f"{run}-%") == count

    await eventually(done, timeout=120, interval=0.02)
    return count / (time.perf_counter() - began)


async def measure(most: int) -> dict[int, dict[int, list[float]]]:
    """Delay -> replicas -> alerts a second, by `PLACES`."""
    found = {delay: {replicas: [0.0] * len(PLACES) for replicas in REPLICAS} for delay in DELAYS}
    with serving({"a.avi": make_video("avi", "mpeg4", audio="mp2")}, ORIGINS) as urls:
        async with servers({"media_probe": MEDIA_PROBE}) as where:
            connection = await asyncpg.connect(where.dsn)
            for replicas in REPLICAS:
                for number, places in enumerate(PLACES):
                    settings = {"ALLOWED_TARGETS": "127.0.0.0/8", "CONCURRENT_PROBES": str(places)}
                    with ExitStack() as stack:
                        parts = [stack.enter_context(service(where, "media_probe", settings)) for _ in range(replicas)]
                        await _rate(where, connection, parts, urls, 0, 50)
                        for delay in DELAYS:
                            # As many as take about two seconds, where the server alone is the limit.
                            count = min(most, max(places * replicas * 2000 // max(delay, 1), 2 * places * replicas))
                            rate = await _rate(where, connection, parts, urls, delay, count)
                            found[delay][replicas][number] = round(rate, 1)
                            print(f"{replicas} x {places} places, {delay} ms: {rate:,.0f} alerts/s", flush=True)
            await connection.close()
    return found


if __name__ == "__main__":
    print(uvloop.run(measure(int(next(iter(sys.argv[1:]), "1500")))))
