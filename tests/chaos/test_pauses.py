"""Parts that stand still for a while in a storm of readings: nothing that was acknowledged is missing afterwards.

`TOCSIN_CHAOS_PAUSES` sets the pauses of aggregation (seconds, separated by commas).
"""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from tests.chaos.conftest import Parts
from tests.support.storm import Storm

PAUSES = [float(text) for text in os.environ.get("TOCSIN_CHAOS_PAUSES", "1,6,8,9,9,10,12,20").split(",")]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("pause", PAUSES)
async def test_aggregation_pauses(parts: Parts, unique_building: Callable[[], str], pause: float) -> None:
    storm = Storm(parts.mesh, unique_building())
    async with storm.blowing():
        await asyncio.sleep(3)
        stopped = parts.send("aggregation", signal.SIGSTOP)
        try:
            await asyncio.sleep(pause)
        finally:
            parts.resume(stopped)
        await asyncio.sleep(3)
    assert storm.count > 1000
    assert set(storm.answers) == {200}
    assert await storm.lost() == {}
    await asyncio.to_thread(parts.all_healthy)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["ingestion", "nats"])
async def test_who_takes_readings_in_pauses(parts: Parts, unique_building: Callable[[], str], part: str) -> None:
    storm = Storm(parts.mesh, unique_building())
    async with storm.blowing():
        await asyncio.sleep(2)
        stopped = parts.send(part, signal.SIGSTOP)
        try:
            await asyncio.sleep(10)
        finally:
            parts.resume(stopped)
        await asyncio.sleep(3)
        before = storm.count
        await asyncio.sleep(3)
        assert storm.count > before, "readings are not taken again"
    assert await storm.lost() == {}
    if part == "nats":
        # Who cannot store says so in time: 504 is what the edge says when nobody has said anything.
        assert 504 not in storm.answers
        assert storm.slowest < 15
    await asyncio.to_thread(parts.all_healthy)


@pytest.mark.timeout(240)
async def test_the_broker_is_killed_again_and_again(parts: Parts, unique_building: Callable[[], str]) -> None:
    storm = Storm(parts.mesh, unique_building())
    before = {part: parts.report(part).restarts for part in ("ingestion", "aggregation", "notification")}
    async with storm.blowing():
        for _ in range(5):
            await asyncio.sleep(2)
            parts.send("nats", signal.SIGKILL)
        await asyncio.sleep(4)
        taken = storm.count
        await asyncio.sleep(3)
        assert storm.count > taken, "readings are not taken again"
    assert await storm.lost() == {}
    await asyncio.to_thread(parts.all_healthy)
    # An outage of the broker is the end of nobody else.
    assert {part: parts.report(part).restarts for part in before} == before


@pytest.mark.timeout(240)
@pytest.mark.parametrize("part", ["aggregation", "ingestion", "postgres", "gateway", "envoy"])
async def test_a_part_is_killed(parts: Parts, unique_building: Callable[[], str], part: str) -> None:
    storm = Storm(parts.mesh, unique_building())
    async with storm.blowing():
        await asyncio.sleep(2)
        parts.send(part, signal.SIGKILL)
        await asyncio.sleep(8)
        taken = storm.count
        await asyncio.sleep(3)
        assert storm.count > taken, "readings are not taken again"
    assert await storm.lost() == {}
    await asyncio.to_thread(parts.all_healthy)
