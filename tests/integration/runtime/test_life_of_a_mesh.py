"""Start, stop, crash and restart of the embedded servers under `tocsin up`."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable

import asyncpg
import pytest

from services.cli.client import open_mesh
from services.cli.runtime.instance import running_instance
from tests.integration.runtime.conftest import CommandLine, alive, processes_of
from tests.support.eventually import eventually

Make = Callable[..., CommandLine]


async def test_a_signal_stops_everything_cleanly(command_line: Make) -> None:
    one = command_line()
    postgres_log = one.state.logs / "postgres.log"
    for how in (signal.SIGTERM, signal.SIGINT):
        one.start()
        pids = [part["pid"] for part in (await one.up()).values()]
        told = len(postgres_log.read_text())
        exit_code, output, errors = await one.stop(how)
        assert (exit_code, errors) == (0, "")
        assert "Tocsin is down" in output
        assert not alive(pids)
        assert not processes_of(one.state.root)
        assert "database system is shut down" in postgres_log.read_text()[told:]


async def test_any_directory_any_output_and_a_quiet_first_start(command_line: Make) -> None:
    mesh = command_line('ä b "c" ☃', PYTHONIOENCODING="ascii", LC_ALL="C")
    mesh.start()
    await mesh.up()
    code, output, errors = await mesh.stop()
    assert (code, errors) == (0, "")
    assert "? nats " in output
    assert "\x1b" not in output
    assert "does not exist" not in (mesh.state.logs / "postgres.log").read_text()


async def test_nothing_outlives_a_killed_supervisor_and_the_next_start_is_clean(command_line: Make) -> None:
    one = command_line()
    one.start()
    before = await one.up()
    dsn = running_instance(one.state).postgres_dsn
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    # A session that is at work must not keep its server process alive.
    busy = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
    await eventually(lambda: len(_descendants(before["postgres"]["pid"])) >= 5, what="server processes")
    everybody = [part["pid"] for part in before.values()] + _descendants(before["postgres"]["pid"])

    await one.stop(signal.SIGKILL)
    await eventually(lambda: not alive(everybody), timeout=2.0, what="the end of all children")
    with pytest.raises((asyncpg.PostgresError, ConnectionError)):
        await busy
    connection.terminate()

    one.start()
    after = await one.up()
    assert after["postgres"]["restarts"] == 0
    assert "ended without a stop" in (one.state.logs / "runtime.log").read_text()
    connection = await asyncpg.connect(running_instance(one.state).postgres_dsn)
    assert await connection.fetchval("SELECT answer FROM kept") == 42
    await connection.close()


def _descendants(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [int(child) for child in children.read().split()]


async def test_a_dead_part_is_started_again_and_told(command_line: Make) -> None:
    one = command_line()
    one.start()
    before = await one.up()
    for part in ("nats", "postgres"):
        # As the operator may: PostgreSQL runs as another user when we are root.
        os.kill(before[part]["pid"], signal.SIGKILL)
        await eventually(lambda part=part: one.parts()[part]["restarts"] >= 1, what="the restart")
        assert (await one.up())[part]["pid"] != before[part]["pid"]
    _, output, _ = await one.stop()
    assert output.count("was killed by SIGKILL") == 2
    assert output.count("healthy again") >= 2


async def test_state_survives_a_restart_also_beside_a_stale_lock_file(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    first = running_instance(one.state)
    await one.stop()
    # Its process id is that of a living process, so that PostgreSQL by itself would not start.
    lock_file = one.state.postgres / "postmaster.pid"
    lock_file.write_text(f"{os.getpid()}\n{one.state.postgres}\n0\n0\n\n\n\n\n")
    one.start()
    await one.up()
    second = running_instance(one.state)
    assert (second.ports, second.postgres_dsn) == (first.ports, first.postgres_dsn)


async def test_two_meshes_run_side_by_side_but_not_on_one_directory(command_line: Make) -> None:
    one, other = command_line("one"), command_line("other")
    one.start()
    other.start()
    await asyncio.gather(one.up(), other.up())
    ports = [set(running_instance(each.state).ports.values()) for each in (one, other)]
    assert not ports[0] & ports[1]

    intruder = command_line("one")
    intruder.start()
    exit_code, _, errors = await intruder.ended()
    assert exit_code == 2
    assert f"already up on state directory {one.state.root}" in errors
    assert str(one.process.pid) in errors
    assert alive([one.process.pid])


async def test_a_taken_port_is_told_by_name(command_line: Make) -> None:
    one = command_line()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        one.start(TOCSIN_NATS_PORT=str(port))
        exit_code, _, errors = await one.ended()
    assert exit_code == 2
    assert "NATS" in errors
    assert str(port) in errors
    assert "TOCSIN_NATS_PORT" in errors
    assert str(os.getpid()) in errors
    assert errors.count("\n") == 1


async def test_an_automatic_port_that_is_taken_later_is_chosen_anew(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    first = running_instance(one.state).ports["nats"]
    await one.stop()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", first))
        listener.listen()
        one.start()
        await one.up()
        assert running_instance(one.state).ports["nats"] != first


async def test_a_part_that_cannot_start_ends_it_with_its_last_words(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    await one.stop()
    (one.state.postgres / "postgresql.conf").write_text("no_such_setting = 1\n")
    one.start()
    exit_code, _, errors = await one.ended()
    assert exit_code == 1
    assert "postgres does not start" in errors
    assert "no_such_setting" in errors
    assert not processes_of(one.state.root)


async def test_commands_reach_the_mesh(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    mesh = open_mesh(one.state.root)
    async with mesh.nats() as connection:
        streams = await connection.jetstream().streams_info()
        assert {"READINGS", "DEAD_LETTERS"} <= {stream.config.name for stream in streams}
