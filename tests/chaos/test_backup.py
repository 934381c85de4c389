"""A backup of a mesh under load, restored elsewhere: nothing that was acknowledged before it is missing, nothing is
there twice, and what was on its way has its effects.

The ledger: readings of a storm, and readings each of which raises an alarm and tells somebody of it: through the stream
of readings, the outbox of aggregation, two streams, and the inbox of notification.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from services.cli.client import MeshClient
from services.cli.runtime.prometheus import read_targets
from tests.chaos.conftest import Parts
from tests.e2e.conftest import running_mesh
from tests.support.eventually import eventually
from tests.support.rest import trust
from tests.support.storm import Storm

ROUNDS = 3
"""Backups that are made and restored: each at another moment of the storm."""
_OF_TWO_MOMENTS = """
import contextlib, sys, time
from services.cli.backup import create
from services.cli.main import main

@contextlib.contextmanager
def moving(_):
    yield

async def end(backup, longest, end=create.BaseBackup.end):
    await end(backup, longest)
    print(time.time(), file=sys.stderr)
    time.sleep(1)
    for copy in copies:
        refresh(copy)

copies, refresh = set(), create.StreamCopy.refresh
create.standing_still, create.BaseBackup.end = moving, end
create.StreamCopy.refresh = lambda copy, deadline=None: copies.add(copy)
main()
"""
"""The command, without its pause: the streams are of a second later than PostgreSQL, which is told when it was done."""


class Hot:
    """One reading after the other that is too hot, each in a room of its own."""

    def __init__(self, mesh: MeshClient, building: str, user: str) -> None:
        self.building = building
        self.user = user
        self.rooms: dict[str, float] = {}
        """Those whose reading was acknowledged, and when (seconds since the epoch)."""
        self._mesh = mesh

    @asynccontextmanager
    async def rising(self) -> AsyncGenerator[None]:
        """Sends during the block."""
        stop = asyncio.Event()
        async with self._client() as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(client, stop))
            try:
                await eventually(lambda: len(self.rooms) > 20, 30, what="hot rooms")
                yield
            finally:
                stop.set()

    async def make_rule(self) -> None:
        """A rule for the building, which its owner knows when this returns."""
        rule = {
            "id": self.building,
            "title": "Too hot",
            "sensorType": "temperature",
            "building": self.building,
            "severity": "CRITICAL",
            "threshold": {"direction": "ABOVE", "limit": 300},
            "tenant": "test",
            "notify": [self.user],
        }
        async with self._client() as client:
            (await client.post("/v1/alarmRules", json=rule)).raise_for_status()
            numbers = iter(range(10_000))

            async def raised() -> bool:
                await self._one(client, f"try-{next(numbers)}")
                alarms = (await client.get("/v1/alarms", params={"building": self.building})).json()
                return bool(alarms.get("alarms"))

            await eventually(raised, 30, interval=0.2, what="an alarm")

    async def _send(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            room = f"hot-{len(self.rooms)}"
            if await self._one(client, room):
                self.rooms[room] = time.time()

    async def _one(self, client: httpx.AsyncClient, room: str) -> bool:
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        reading = {
            "building": self.building,
            "room": room,
            "sensorType": "temperature",
            "value": 350,
            "unit": "K",
            "eventTime": at,
        }
        answer = await client.post("/v1/readings", json=reading)
        return answer.status_code == 200

    def _client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self._mesh.token()}"}
        return httpx.AsyncClient(base_url=self._mesh.instance.edge_url, headers=headers, timeout=40, verify=trust())


@pytest.mark.timeout(600)
@pytest.mark.parametrize("turn", range(ROUNDS))
async def test_a_backup_under_load(
    parts: Parts, unique_building: Callable[[], str], tmp_path: Path, repository: Path, turn: int
) -> None:
    storm, hot = Storm(parts.mesh, unique_building()), Hot(parts.mesh, unique_building(), f"ann-{turn}")
    await hot.make_rule()
    async with storm.blowing(), hot.rising():
        await asyncio.sleep(1 + 0.7 * turn)
        made = await asyncio.to_thread(_backup, repository, parts.mesh, tmp_path / "backup.tar.gz")
        after = storm.count
        await eventually(lambda: storm.count > after, what="readings after the backup")
    # Up to the last one that was acknowledged when everything stood still.
    moment = datetime.fromisoformat(made["moment"]).timestamp()
    before = storm.acknowledged_before(moment)
    hot_before = [room for room, at in hot.rooms.items() if at < moment]
    assert max(at for at, _, _ in storm.journal if at < moment) > moment - 1
    assert set(storm.answers) == {200}, "a call failed for the backup"
    assert made["stoodStillSeconds"] < 3
    print(
        f"stood still for {made['stoodStillSeconds']:.3f} s, slowest call {storm.slowest:.3f} s, {after} acknowledged"
    )
    # The mesh that was backed up has lost nothing by it, either.
    assert await storm.lost() == {}
    restored = tmp_path / "restored"
    done = _tocsin(repository, restored, "restore", str(tmp_path / "backup.tar.gz"))
    assert done.returncode == 0, done.stderr
    with running_mesh(repository, restored, {}) as (mesh, process):
        again = Storm(mesh, storm.building, acknowledged=before)
        assert await again.lost() == {}
        alarms, told = await _settled(mesh, hot)
        assert alarms.keys() - told.keys() == set()
        assert {room for room in hot_before if alarms[room] != 1} == set()
        assert {room for room in hot_before if told[room] != 1} == set(), (len(hot_before), told)
        assert set(alarms.values()) == {1}
        assert set(told.values()) == {1}
        # It goes on: what is new is stored, and counts.
        more = Storm(mesh, unique_building())
        async with more.blowing():
            await eventually(lambda: more.count > 1000, what="readings of the restored mesh")
        assert await more.lost() == {}
        status = json.loads(_tocsin(repository, restored, "status", "--json").stdout)
        assert status["streamLosses"] == []
        assert await _lost(mesh) == 0
        assert process.poll() is None


@pytest.mark.timeout(600)
async def test_a_backup_of_two_moments_is_found_out(
    parts: Parts, unique_building: Callable[[], str], tmp_path: Path, repository: Path
) -> None:
    """The control: where nothing stands still, what was processed between the two moments is in neither store."""
    hot = Hot(parts.mesh, unique_building(), "control")
    await hot.make_rule()
    target = str(tmp_path / "backup.tar.gz")
    async with hot.rising():
        state = parts.mesh.state.root
        made = await asyncio.to_thread(_tocsin, repository, state, "backup", target, program=_OF_TWO_MOMENTS)
        assert made.returncode == 0, made.stderr
    between = float(made.stderr.split()[0])
    rooms = {room for room, at in hot.rooms.items() if between < at < between + 0.5}
    assert rooms
    done = _tocsin(repository, tmp_path / "restored", "restore", target)
    assert done.returncode == 0, done.stderr
    with running_mesh(repository, tmp_path / "restored", {}) as (mesh, _):
        alarms, _ = await _settled(mesh, hot)
    assert rooms - alarms.keys(), "nothing is missing: would this find out anything?"


async def _settled(mesh: MeshClient, hot: Hot) -> tuple[Counter[str], Counter[str]]:
    """Alarms and notifications by room, once each alarm has its notification or nothing changes any more."""
    last: tuple[Counter[str], Counter[str]] | None = None
    unchanged = 0
    while unchanged < 10:
        found = await _effects(mesh, hot)
        if found[0] and found[0].keys() == found[1].keys() and unchanged > 2:
            break
        unchanged = unchanged + 1 if found == last else 0
        last = found
        await asyncio.sleep(0.5)
    assert last is not None
    return last


async def _effects(mesh: MeshClient, hot: Hot) -> tuple[Counter[str], Counter[str]]:
    connection = await asyncpg.connect(mesh.instance.postgres_dsn)
    try:
        rows = await connection.fetch("SELECT room FROM aggregation.alarms WHERE building = $1", hot.building)
    finally:
        await connection.close()
    told: Counter[str] = Counter()
    headers = {"authorization": f"Bearer {mesh.token()}"}
    async with httpx.AsyncClient(base_url=mesh.instance.edge_url, headers=headers, verify=trust()) as client:
        asked = {"tenant": "test", "user": hot.user, "pageSize": "500", "pageToken": ""}
        while True:
            answer = (await client.get("/v1/notifications", params=asked)).raise_for_status().json()
            told.update(one["body"].split(f"{hot.building}/")[1].split()[0] for one in answer.get("notifications", []))
            asked["pageToken"] = answer.get("nextPageToken", "")
            if not asked["pageToken"]:
                break
    return Counter(row["room"] for row in rows), told


async def _lost(mesh: MeshClient) -> float:
    """Ranges of readings that aggregation has missed."""
    address = read_targets(mesh.state)["aggregation"]
    async with httpx.AsyncClient(verify=trust()) as client:
        text = (await client.get(f"http://{address}/metrics")).text
    return sum(
        float(value)
        for value in re.findall(r"^tocsin_aggregation_readings_lost_total\{.*\} (\S+)$", text, re.MULTILINE)
    )


def _backup(repository: Path, mesh: MeshClient, target: Path) -> dict[str, Any]:
    done = _tocsin(repository, mesh.state.root, "backup", str(target), "--json")
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def _tocsin(repository: Path, state: Path, *arguments: str, program: str = "") -> "subprocess.CompletedProcess[str]":
    command = ["-c", program] if program else ["-m", "services.cli.main"]
    return subprocess.run(
        [sys.executable, *command, *arguments, "--state-dir", str(state)],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
