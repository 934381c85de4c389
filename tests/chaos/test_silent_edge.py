"""The edge hangs for a while, and everything behind it works: that is no silence of the sensors."""

import asyncio
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.chaos.conftest import Parts

AFTER = 7.0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["envoy", "gateway"])
async def test_nobody_is_silent_while_the_edge_hangs(
    parts: Parts, unique_building: Callable[[], str], part: str
) -> None:
    building, mesh = unique_building(), parts.mesh
    async with httpx.AsyncClient(
        base_url=mesh.instance.edge_url, headers={"authorization": f"Bearer {mesh.token('*')}"}, timeout=3
    ) as rest:

        async def send(device: str) -> None:
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            reading = {"building": building, "room": "r", "sensorType": "temperature", "device": f"{building}-{device}"}
            try:
                await rest.post("/v1/readings", json={**reading, "value": 290, "unit": "K", "eventTime": at})
            except httpx.TransportError:
                # A sensor that keeps nothing: what it says now is lost.
                return

        async def sending(seconds: float) -> None:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                await asyncio.gather(send("a"), asyncio.sleep(0.5))

        async def alarms() -> list[dict[str, Any]]:
            answer = await rest.get("/v1/alarms", params={"building": building})
            return answer.raise_for_status().json().get("alarms", [])

        rule = {"id": building, "building": building, "sensorType": "temperature", "noData": {"after": f"{AFTER:g}s"}}
        (await rest.post("/v1/alarmRules", json=rule)).raise_for_status()
        await sending(3)
        await send("b")
        stopped = parts.send(part, signal.SIGSTOP)
        try:
            await sending(2 * AFTER)
        finally:
            parts.resume(stopped)
        back = time.time()
        await sending(AFTER - 2)
        assert await alarms() == []
        await sending(8)
        # Who really says nothing is found out as soon as the edge has stood for as long as the rule says.
        [alarm] = await alarms()
        assert f"(device {building}-b)" in alarm["message"]
        assert datetime.fromisoformat(alarm["raiseTime"]).timestamp() >= back + AFTER - 1
    await asyncio.to_thread(parts.all_healthy)
