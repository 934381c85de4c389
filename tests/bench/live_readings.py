"""How soon a reading counts, and how soon a window's closing is told, while a thousand readings a second come in.

*Visible*: from the answer to `POST /v1/readings` until `GET .../average` of the room counts the reading, asked over and
over. *Told*: from the answer to the reading that closes a window (it is later than the end of the window by more than
the grace) until a downstream subscriber of NATS has the event. Every sample has a room of its own. In real time the
window of a series that reports continuously is told after the grace (2 s by default) and this.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import numpy as np
from nats.aio.msg import Msg

from services.cli.client import MeshClient
from tests.bench.report import Row, row
from tocsin.events.v1.windows_pb2 import WindowClosed

SAMPLES = 300
AT_A_TIME = 2
LOAD = 1_000
"""Readings/s beside the samples, one for each of as many series."""
_PATIENCE = 30.0
_MINUTE = 60


def _reading(building: str, room: str, value: float, seconds: float) -> dict[str, object]:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"building": building, "room": room, "sensorType": "temperature", "value": value, "eventTime": moment}


async def _accept(client: httpx.AsyncClient, reading: dict[str, object]) -> float:
    """When the answer came."""
    (await client.post("/v1/readings", json=reading)).raise_for_status()
    return time.perf_counter()


async def _visible(client: httpx.AsyncClient, building: str, number: int) -> float:
    accepted = await _accept(client, _reading(building, f"v{number}", 290.0, time.time()))
    while time.perf_counter() - accepted < _PATIENCE:
        answer = await client.get(f"/v1/buildings/{building}/rooms/v{number}/average")
        seen = time.perf_counter()
        if answer.raise_for_status().json()["state"] == "OK":
            return seen - accepted
    raise RuntimeError(f"a reading was not visible within {_PATIENCE} s")


async def _told(client: httpx.AsyncClient, building: str, number: int, events: dict[str, asyncio.Event]) -> float:
    room = f"t{number}"
    told = events[room] = asyncio.Event()
    end = time.time() // _MINUTE * _MINUTE - _MINUTE
    await _accept(client, _reading(building, room, 290.0, end - 5))
    accepted = await _accept(client, _reading(building, room, 291.0, end + 5))
    async with asyncio.timeout(_PATIENCE):
        await told.wait()
    # The event may overtake the answer.
    return max(time.perf_counter() - accepted, 0.0)


@asynccontextmanager
async def _load(client: httpx.AsyncClient, building: str) -> AsyncGenerator[None]:
    """A reading of every series each second."""

    async def feed() -> None:
        due = time.perf_counter()
        while True:
            now = time.time()
            readings = [_reading(building, f"load{n}", 290.0, now) for n in range(LOAD // 10)]
            for device in range(10):
                batch = [reading | {"device": f"d{device}"} for reading in readings]
                (await client.post("/v1/readings:batch", json={"readings": batch})).raise_for_status()
                due += 0.1
                await asyncio.sleep(max(due - time.perf_counter(), 0.0))

    feeding = asyncio.create_task(feed())
    try:
        await asyncio.sleep(2)
        yield
        if feeding.done():
            feeding.result()
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])


async def _run(mesh: MeshClient, building: str) -> tuple[list[float], list[float]]:
    events: dict[str, asyncio.Event] = {}

    async def on_event(message: Msg) -> None:
        event = WindowClosed.FromString(message.data)
        if event.room in events:
            events[event.room].set()

    headers = {"authorization": f"Bearer {mesh.token()}"}
    async with (
        mesh.nats(downstream=True) as nats,
        httpx.AsyncClient(base_url=mesh.instance.edge_url, headers=headers, timeout=_PATIENCE) as client,
        _load(client, building),
    ):
        await nats.subscribe(mesh.names.subject(f"tocsin.windows.v1.closed.{building}.>"), cb=on_event)
        await nats.flush()
        visible: list[float] = []
        told: list[float] = []
        for first in range(0, SAMPLES, AT_A_TIME):
            numbers = range(first, first + AT_A_TIME)
            visible += await asyncio.gather(*(_visible(client, building, number) for number in numbers))
            told += await asyncio.gather(*(_told(client, building, number, events) for number in numbers))
    return visible, told


def _row(path: str, runs: list[list[float]], limit: float) -> Row:
    p99 = [float(np.percentile(run, 99)) * 1000 for run in runs]
    median = float(np.median(np.concatenate(runs))) * 1000
    notes = {"median": f"{median:.0f} ms", "reference": "the limit", "beside": f"{LOAD:,} readings/s"}
    return row(path, [(figure, limit) for figure in p99], unit="ms (p99)", goal="<= 1", notes=notes)


def measure(mesh: MeshClient, runs: int) -> list[Row]:
    """Both, in milliseconds beside their limits."""
    found = [asyncio.run(_run(mesh, f"live-{number}")) for number in range(runs)]
    return [
        _row("reading accepted -> visible in the room's average", [visible for visible, _ in found], 250.0),
        _row("window closes -> event received", [told for _, told in found], 1000.0),
    ]
