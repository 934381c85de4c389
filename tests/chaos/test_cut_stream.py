"""A power cut that takes the end of the stream of readings: told, and everything sent afterwards counts."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from services.chassis.nats.topology import READINGS
from tests.e2e.conftest import running_mesh, until
from tests.support.rest import trust
from tests.support.storm import Storm, stored


@pytest.mark.timeout(240)
def test_readings_after_a_stream_that_came_back_shorter_are_stored(
    tmp_path: Path, repository: Path, unique_building: Callable[[], str]
) -> None:
    state_dir, building = tmp_path / "state", unique_building()

    async def some(storm: Storm) -> None:
        async with storm.blowing():
            await asyncio.sleep(3)
        assert await storm.lost() == {}

    with running_mesh(repository, state_dir, {}) as (mesh, process):
        asyncio.run(some(Storm(mesh, building)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (messages,) = state_dir.glob(f"nats/jetstream/*/streams/{READINGS}/msgs")
    until(lambda: _unused(messages), what="the broker's end")
    (messages / "index.db").unlink(missing_ok=True)
    for block in messages.glob("*.blk"):
        os.truncate(block, min(block.stat().st_size, 20))

    with running_mesh(repository, state_dir, {}) as (mesh, _):
        headers = {"authorization": f"Bearer {mesh.token()}"}
        with httpx.Client(base_url=mesh.instance.edge_url, headers=headers, timeout=30, verify=trust()) as client:
            rooms = [f"after-{letter}" for letter in "abcdefgh"]
            for room in rooms * 2:
                body = {"building": building, "room": room, "sensorType": "temperature", "value": 20, "unit": "C"}
                assert client.post("/v1/readings", json=body).status_code == 200

            def counted() -> bool:
                found = asyncio.run(stored(mesh, building))
                return all(len(found.get(room, ())) == 2 for room in rooms)

            until(counted, 30, what="both readings of each room")
            told = until(
                lambda: [
                    alarm
                    for alarm in client.get("/v1/alarms").json()["alarms"]
                    if alarm["kind"] == "READINGS_LOST" and alarm["state"] == "RAISED"
                ],
                what="an alarm",
            )
            assert all("came back shorter" in alarm["message"] for alarm in told)
            (first, *_) = told
            assert client.post(f"/v1/alarms/{first['id']}:acknowledge", json={"note": "seen"}).status_code == 200


def _unused(folder: Path) -> bool:
    """Whether no process has a file of the folder open any more."""
    for handles in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(os.readlink(handle).startswith(str(folder)) for handle in handles.iterdir()):
                return False
        except OSError:
            continue
    return True
