"""A storm of readings over REST with a ledger of what was acknowledged, and what the database holds of it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import httpx

from services.cli.client import MeshClient
from tests.support.eventually import eventually
from tests.support.rest import trust

ROWS = 200
"""Readings of one batch."""


@dataclass
class Storm:
    """Several connections that send batches without pause. Every reading has an event time of its own in its room."""

    mesh: MeshClient
    building: str
    rooms: int = 8
    connections: int = 4
    pause: float = 0.05
    acknowledged: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    """Room -> event times (microseconds) of readings that the mesh has acknowledged."""
    journal: list[tuple[float, str, list[int]]] = field(default_factory=list[tuple[float, str, list[int]]])
    """When a batch was acknowledged (seconds since the epoch), its room and its event times."""
    answers: Counter[int] = field(default_factory=Counter[int])
    """HTTP status -> how often; 0 for a connection that broke."""
    slowest: float = 0.0
    """Seconds of the longest answer."""
    _next: int = 0

    @asynccontextmanager
    async def blowing(self) -> AsyncIterator[None]:
        """Sends during the block; calls that are under way at its end are waited for."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.connections):
                tasks.create_task(self._send(stop))
            try:
                yield
            finally:
                stop.set()

    async def _send(self, stop: asyncio.Event) -> None:
        headers = {"authorization": f"Bearer {self.mesh.token(['readings:write'])}"}
        base = self.mesh.instance.edge_url
        async with httpx.AsyncClient(base_url=base, headers=headers, timeout=40, verify=trust()) as client:
            while not stop.is_set():
                await self._batch(client)
                await asyncio.sleep(self.pause)

    async def _batch(self, client: httpx.AsyncClient) -> None:
        self._next += 1
        room = f"room-{self._next % self.rooms}"
        # A day of its own for the rows of the storm, a millisecond apart: none comes twice.
        first = (int(time.time()) - 86_400) * 1_000_000 // 1_000_000_000 * 1_000_000_000
        times = [first + (self._next * ROWS + row) * 1000 for row in range(ROWS)]
        readings = [
            {
                "building": self.building,
                "room": room,
                "sensorType": "temperature",
                "value": 20.0 + row % 10,
                "unit": "C",
                "eventTime": _rfc3339(at),
            }
            for row, at in enumerate(times)
        ]
        began = time.monotonic()
        try:
            answer = await client.post("/v1/readings:batch", json={"readings": readings})
        except httpx.TransportError:
            self.answers[0] += 1
            return
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[answer.status_code] += 1
        if answer.status_code == 200:
            assert answer.json()["accepted"] == ROWS
            self.journal.append((time.time(), room, times))
            self.acknowledged.setdefault(room, set()).update(times)

    def acknowledged_before(self, moment: float) -> dict[str, set[int]]:
        """As `acknowledged`, at an earlier moment (seconds since the epoch)."""
        found: dict[str, set[int]] = {}
        for at, room, times in self.journal:
            if at < moment:
                found.setdefault(room, set()).update(times)
        return found

    @property
    def count(self) -> int:
        """Readings acknowledged so far."""
        return sum(map(len, self.acknowledged.values()))

    async def lost(self, within: float = 60.0) -> dict[str, set[int]]:
        """What was acknowledged and is not stored, once that does not get less any more or `within` is over."""

        async def all_there() -> bool:
            return not _missing(self.acknowledged, await stored(self.mesh, self.building))

        try:
            await eventually(all_there, within, interval=0.5)
        except AssertionError:
            return _missing(self.acknowledged, await stored(self.mesh, self.building))
        return {}


def _missing(acknowledged: dict[str, set[int]], found: dict[str, set[int]]) -> dict[str, set[int]]:
    missing = {room: times - found.get(room, set()) for room, times in acknowledged.items()}
    return {room: times for room, times in missing.items() if times}


async def stored(mesh: MeshClient, building: str) -> dict[str, set[int]]:
    """Room -> event times of the readings that the database holds; fails when it holds one twice."""
    connection = await asyncpg.connect(mesh.instance.postgres_dsn)
    try:
        rows = await connection.fetch(
            """
            SELECT s.room, g.times_us FROM aggregation.series s JOIN aggregation.segments g ON g.series_id = s.id
            WHERE s.building = $1
            """,
            building,
        )
    finally:
        await connection.close()
    found: dict[str, set[int]] = {}
    for row in rows:
        times = found.setdefault(row["room"], set())
        before = len(times)
        times.update(row["times_us"])
        assert len(times) == before + len(row["times_us"]), f"readings of {row['room']} are stored twice"
    return found


def _rfc3339(at_us: int) -> str:
    seconds, micros = divmod(at_us, 1_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{micros:06d}Z"
