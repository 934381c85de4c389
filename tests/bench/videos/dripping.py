"""How soon a good alert is probed that comes behind a hundred whose videos drip, a byte a second.

`python -m tests.bench.videos.dripping [runs]` starts PostgreSQL, NATS, media-probe and video servers of its own. The
videos that drip lie on one server, or each on a server of its own, which then fill every place; the good one lies on
another. Each time begins with new servers, for what drips is not over soon.
"""

import sys
import time
from collections.abc import Sequence

import asyncpg
import uvloop
from rich.console import Console

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from tests.bench.alerts_micro import MEDIA_PROBE
from tests.bench.parts import Servers, servers, service
from tests.bench.report import Row, row
from tests.bench.videos.serving import serving
from tests.support.eventually import eventually
from tests.support.videos import make_video
from tocsin.events.v1.alerts_pb2 import VideoAlertReported

DRIPPING, GOAL = 100, 2.0


def _event(uid: str, video: str) -> Event:
    alert = VideoAlertReported(uid=uid, video=video, timestamp=1.7e9, store=f"store-{uid}")
    return Event(ALERT_REPORTED_SUBJECT, alert, id=uid)


async def _probed(where: Servers, connection: asyncpg.Connection, uid: str, before: Sequence[Event]) -> float:
    """Milliseconds from the publication of a good alert, behind the others, to its row."""
    publisher = Publisher(where.nats, source="bench", max_in_flight=64)
    await publisher.publish_many(before)
    began = time.perf_counter()
    await publisher.publish(_event(uid, f"/0/{uid}/a.mp4"))

    async def done() -> bool:
        return await connection.fetchval("SELECT state = 'PROBED' FROM media_probe.videos WHERE uid = $1", uid) or False

    await eventually(done, timeout=60, interval=0.002)
    return (time.perf_counter() - began) * 1000


async def _pair(ports: int) -> tuple[float, float]:
    with serving({"a.mp4": make_video("mp4", "libx264")}, ports + 1) as (good, *bad):
        async with servers({"media_probe": MEDIA_PROBE}) as where:
            settings = {"VIDEO_SERVER": good, "ALLOWED_TARGETS": "127.0.0.0/8"}
            connection = await asyncpg.connect(where.dsn)
            try:
                with service(where, "media_probe", settings):
                    await _probed(where, connection, "warm", [])
                    alone = await _probed(where, connection, "alone", [])
                    drips = [_event(f"d{n}", f"{bad[n % ports]}/drip/{n}/a.mp4") for n in range(DRIPPING)]
                    behind = await _probed(where, connection, "behind", drips)
                    left = await connection.fetchval("SELECT count(*) FROM media_probe.videos WHERE uid LIKE 'd%'")
                    if left:
                        raise RuntimeError(f"{left} of the others were done before: they did not drip")
            finally:
                await connection.close()
    return behind, alone


def measure(runs: int) -> list[Row]:
    """Milliseconds behind those that drip, beside the same alert alone."""
    rows: list[Row] = []
    for ports, name in ((1, "one server"), (DRIPPING, f"{DRIPPING} servers")):
        pairs = [uvloop.run(_pair(ports)) for _ in range(runs)]
        slowest = max(behind for behind, _ in pairs)
        rows.append(
            row(
                f"a good alert behind {DRIPPING} whose videos drip, from {name}: published to row",
                pairs,
                unit="ms",
                goal=f"< {GOAL * 1000:.0f} ms",
                notes={"reference": "the same alert alone", "slowest": f"{slowest:,.0f} ms"},
            )
        )
    return rows


if __name__ == "__main__":
    for found in measure(int(next(iter(sys.argv[1:]), "1"))):
        Console(width=160).print(f"{found.path}: {found.figure:,.0f} ms, alone {found.reference:,.0f}; {found.notes}")
