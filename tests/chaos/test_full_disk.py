"""A disk that fills up and is emptied again: told meanwhile, back by itself in seconds, nothing acknowledged lost."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext

from services.chassis.nats.topology import READINGS, readings_subject
from services.cli.runtime.instance import running_instance
from services.cli.runtime.status import PartReport, read_reports
from tests.integration.runtime.conftest import CommandLine
from tests.support.eventually import eventually

SIZE = "1200m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of the test's own; mounting it takes root."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tocsin-test", place]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
async def mesh(disk: Path, repository: Path) -> AsyncIterator[CommandLine]:
    one = CommandLine(disk / "state", repository, "--only", "postgres,nats", TOCSIN_UNHEALTHY_AFTER="1s")
    one.start()
    await one.up(60)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            await one.stop()


class Writer:
    """Publishes readings without pause; `acknowledged` is the ledger."""

    def __init__(self, mesh: CommandLine) -> None:
        self._mesh = mesh
        self.acknowledged: list[str] = []

    async def run(self) -> None:
        number = 0
        async with await self._connect() as client:
            stream: JetStreamContext = client.jetstream(timeout=1)
            while True:
                number += 1
                message_id = f"reading-{number}"
                with suppress(nats.errors.Error, TimeoutError):
                    # Large, so that they need new blocks.
                    await stream.publish(readings_subject(0), os.urandom(40_000), headers={"Nats-Msg-Id": message_id})
                    self.acknowledged.append(message_id)
                await asyncio.sleep(0.02)

    async def _connect(self) -> Client:
        password = self._mesh.state.secret("nats.ingestion")
        return await nats.connect(
            running_instance(self._mesh.state).nats_url, user="ingestion", password=password, reconnect_time_wait=0.1,
            max_reconnect_attempts=-1, error_cb=_ignore,
        )  # fmt: skip


async def _ignore(_error: Exception) -> None:
    """The ledger tells what came of it."""


def report(mesh: CommandLine, part: str) -> PartReport:
    return next(report for report in read_reports(mesh.state) if report.name == part)


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(1 << 20))


async def test_a_disk_that_was_full_leaves_nothing_behind(mesh: CommandLine, disk: Path) -> None:
    writer = Writer(mesh)
    writing = asyncio.create_task(writer.run())
    try:
        await eventually(lambda: len(writer.acknowledged) > 50, what="readings taken")
        await asyncio.to_thread(fill, disk)
        for part in ("nats", "postgres"):
            await eventually(lambda part=part: report(mesh, part).state == "unhealthy", 20, what=f"{part} told")
            assert "it goes on by itself" in report(mesh, part).advice
        await eventually(lambda: "no space left" in report(mesh, "nats").reason, 20, what="JetStream's own word")
        # Nothing is restarted while that would not help.
        assert report(mesh, "nats").restarts == 0
        before = len(writer.acknowledged)
        (disk / "filler").unlink()
        await eventually(lambda: len(writer.acknowledged) > before + 20, 15, what="readings taken again")
        await eventually(lambda: all(part.healthy for part in read_reports(mesh.state)), 15, what="health")
        assert report(mesh, "nats").restarts == 1
    finally:
        writing.cancel()
        await asyncio.wait([writing])
    assert await _stored(mesh) >= set(writer.acknowledged)
    _, output, _ = await mesh.stop()
    assert output.count("status.json cannot be written") <= 1


async def _stored(mesh: CommandLine) -> set[str]:
    instance = running_instance(mesh.state)
    client = await nats.connect(instance.nats_url, user="cli", password=mesh.state.secret("nats.cli"))
    stream = client.jetstream()
    state = (await stream.stream_info(READINGS)).state
    found: set[str] = set()
    for sequence in range(state.first_seq, state.last_seq + 1):
        message = await stream.get_msg(READINGS, sequence)
        found.add((message.headers or {})["Nats-Msg-Id"])
    await client.close()
    return found
