"""The two halves of a backup on real servers that are written to meanwhile: nothing acknowledged before is missing."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import nats
import pytest

from services.cli.backup.archive import new_archive
from services.cli.backup.base_backup import base_backup
from services.cli.backup.restore import restore
from services.cli.backup.still import standing_still
from services.cli.backup.stream_copy import StreamCopy
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.postgres_binaries import find_postgres
from services.cli.runtime.process import started_at
from services.cli.runtime.state import StateDir
from tests.integration.runtime.conftest import Shell
from tests.support.eventually import eventually
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer

HEADER = {"tocsin": "0.0.1", "postgresMajor": find_postgres().version}


@asynccontextmanager
async def writing(write: Callable[[int], "asyncio.Future[object]"]) -> AsyncGenerator[list[int]]:
    """Writes numbers one after the other during the block; those that were acknowledged."""
    acknowledged: list[int] = []
    stop = asyncio.Event()

    async def run() -> None:
        while not stop.is_set():
            await write(len(acknowledged))
            acknowledged.append(len(acknowledged))

    task = asyncio.create_task(run())
    try:
        await eventually(lambda: len(acknowledged) > 20, what="writes")
        yield acknowledged
    finally:
        stop.set()
        await task


async def test_the_database_is_as_at_the_end_of_the_backup(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = PostgresServer(tmp_path / "server", {"fsync": "off"})
    server.start()
    try:
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("CREATE TABLE written (id int PRIMARY KEY, filler text)")
        data = tmp_path / "server" / "data"
        async with writing(
            lambda number: asyncio.ensure_future(
                connection.execute("INSERT INTO written VALUES ($1, repeat('x', 5000))", number)
            )
        ) as acknowledged:
            with new_archive(tmp_path / "backup.tar", HEADER) as writer:
                writer.content("TOCSIN", b"mark")
                async with base_backup(server.dsn(), data) as backup:
                    with pytest.raises(RuntimeProblem, match="another backup of this mesh is under way"):
                        async with base_backup(server.dsn(), data):
                            pass
                    await asyncio.to_thread(backup.copy, writer)
                    before = len(acknowledged)
                    await eventually(lambda: len(acknowledged) > before + 20, what="writes after the copy")
                    before = len(acknowledged)
                    await backup.end(10)
                    after = len(acknowledged)
                    await eventually(lambda: len(acknowledged) > after + 20, what="writes after the end")
                    await asyncio.to_thread(backup.copy_journal, writer)
        await connection.close()
    finally:
        server.stop()
    restore(tmp_path / "backup.tar", StateDir(tmp_path / "restored"))
    (tmp_path / "again").mkdir()
    (tmp_path / "restored" / "postgres").rename(tmp_path / "again" / "data")
    again = PostgresServer(tmp_path / "again")
    again.start()
    try:
        connection = await asyncpg.connect(again.dsn())
        found = [number for (number,) in await connection.fetch("SELECT id FROM written ORDER BY id")]
        await connection.close()
    finally:
        again.stop()
    assert found == list(range(len(found)))
    # One more may have been committed, and not yet acknowledged, than was known to be.
    assert before <= len(found) <= after + 1


async def test_the_streams_are_as_when_nats_stood_still(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "server", syncs=True)
    server.start()
    try:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name="WRITTEN", subjects=["written"])
        await stream.add_stream(name="GONE", subjects=["gone"])
        await stream.publish("gone", b"")
        copy = StreamCopy(tmp_path / "server" / "data", tmp_path / "copy" / "data")
        async with writing(
            lambda number: asyncio.ensure_future(stream.publish("written", str(number).encode() * 1000))
        ) as acknowledged:
            copy.refresh()
            await stream.delete_stream("GONE")
            written = len(acknowledged)
            await eventually(lambda: len(acknowledged) > written + 20, what="writes after the first copy")
            with standing_still([server.pid]):
                before = len(acknowledged)
                copy.refresh()
            await eventually(lambda: len(acknowledged) > before + 20, what="writes after the second copy")
        await client.close()
    finally:
        server.stop()
    again = NatsServer(tmp_path / "copy")
    again.start()
    try:
        client = await nats.connect(again.url)
        stream = client.jetstream()
        infos = {info.config.name: info for info in await stream.streams_info()}
        await client.close()
    finally:
        again.stop()
    assert infos.keys() == {"WRITTEN"}
    assert before <= infos["WRITTEN"].state.messages <= before + 2


def test_what_stands_still_goes_on_when_whoever_stopped_it_is_killed(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    script = f"""
import sys, time
from services.cli.backup.still import standing_still
with standing_still([{sleeper.pid}]):
    print("still", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "still\n"
        assert _state(sleeper.pid) == "T"
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        deadline = time.monotonic() + 10
        while _state(sleeper.pid) == "T":
            assert time.monotonic() < deadline, "it stands still for ever"
            time.sleep(0.01)
    finally:
        holder.kill()
        holder.communicate()
        sleeper.kill()
        sleeper.wait()
    assert started_at(sleeper.pid) is None


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_cannot_be_backed_up_is_refused(shell: Shell, tmp_path: Path) -> None:
    done = shell("backup", str(tmp_path))
    assert (done.exit_code, done.errors) == (2, f"tocsin: {shell.state.root} holds no mesh to back up\n")
    shell.state.create()
    shell.state.write_json(shell.state.root / "servers.json", {"postgres": "db:5432/tocsin", "nats": ""})
    done = shell("backup", str(tmp_path))
    assert done.exit_code == 2
    assert "it has servers of yours, which docs/operations.md says how to back up" in done.errors
