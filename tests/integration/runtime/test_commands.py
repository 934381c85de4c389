"""The commands by which a mesh is run day by day, on a real one of the two servers."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import nats
import pytest

from services.cli.runtime.instance import running_instance
from services.cli.runtime.nats_accounts import RUNTIME_USER
from services.cli.runtime.settings import SERVICES
from tests.integration.runtime.conftest import Shell, alive, processes_of
from tests.support.ports import free_port

_SERVERS = ("--only", "postgres,nats")


def _pids(shell: Shell) -> dict[str, int]:
    parts = json.loads(shell("status", "--json").output)["parts"]
    return {part["name"]: part["pid"] for part in parts}


def test_a_mesh_in_the_background_outlives_its_command_until_it_is_stopped(shell: Shell) -> None:
    # That the command ends at all shows that the mesh has let go of its pipes.
    # Damaged before there is a mesh: told in the background, too.
    (shell.state.root / "run").mkdir(parents=True)
    (shell.state.root / "TOCSIN").touch()
    (shell.state.root / "ports.json").write_text("{")
    started = shell("up", "--detach", *_SERVERS, "--port", str(free_port()))
    assert "ports.json is damaged: it is no JSON; made anew" in started.output
    assert (started.exit_code, started.errors) == (0, "")
    assert "All healthy after" in started.output
    assert running_instance(shell.state).nats_url in started.output
    assert f"tocsin stop --state-dir {shell.state.root}" in started.output
    assert "edge" not in started.output, "it runs without one"
    supervisor = running_instance(shell.state).supervisor_pid
    assert os.getsid(supervisor) == supervisor, "a session of its own"
    pids = [supervisor, *_pids(shell).values()]
    assert alive(pids) == pids
    versions = json.loads(shell("version", "--json").output)["mesh"]["parts"]
    assert versions.keys() == {"postgres", "nats"}
    assert all(versions.values())

    again = shell("up", "--detach", *_SERVERS)
    assert (again.exit_code, again.output) == (2, "")
    assert f"already up on state directory {shell.state.root} (process {supervisor})" in again.errors

    stopped = shell("stop")
    assert (stopped.exit_code, stopped.errors) == (0, "")
    assert stopped.output.startswith("Tocsin is down, after ")
    assert not alive(pids)
    assert not processes_of(shell.state.root)
    journal = [json.loads(line) for line in (shell.state.logs / "runtime.log").read_text().splitlines()]
    assert {"time", "level", "service", "event"} <= set.intersection(*(set(line) for line in journal))
    assert [line["event"] for line in journal if line["event"] != "nats.stream_ensured"][-1] == "down"

    twice = shell("stop")
    assert (twice.exit_code, twice.output) == (3, "")
    assert "no mesh is up" in twice.errors


def test_a_start_in_the_background_that_fails_says_why(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = shell("up", "-d", *_SERVERS, "--nats-port", str(listener.getsockname()[1]))
    assert (taken.exit_code, taken.output) == (2, "")
    assert "choose another with --nats-port or TOCSIN_NATS_PORT" in taken.errors
    assert not shell.state.root.exists()

    assert shell("up", "-d", *_SERVERS, "--port", str(free_port())).exit_code == 0
    assert shell("stop").exit_code == 0
    (shell.state.postgres / "postgresql.conf").write_text("no_such_setting = 1\n")
    broken = shell("up", "-d", *_SERVERS, "--port", str(free_port()))
    assert broken.exit_code == 1
    assert "postgres does not start" in broken.errors
    assert "no_such_setting" in broken.errors
    assert not processes_of(shell.state.root)
    assert not shell.state.in_use


def test_one_part_is_restarted_and_the_others_are_not(shell: Shell) -> None:
    assert shell("restart", "nats").exit_code == 3
    assert shell("up", "-d", *_SERVERS, "--port", str(free_port())).exit_code == 0
    before = _pids(shell)
    restarted = shell("restart", "nats")
    after = _pids(shell)
    assert (restarted.exit_code, restarted.errors) == (0, "")
    assert "nats is healthy again after " in restarted.output
    assert f"process {after['nats']}" in restarted.output
    assert after["nats"] != before["nats"]
    assert after["postgres"] == before["postgres"]
    assert shell("status").exit_code == 0

    unknown = shell("restart", "nuts")
    assert (unknown.exit_code, unknown.output) == (2, "")
    assert "no part is called 'nuts'; there are postgres, nats" in unknown.errors
    assert stat.S_IMODE((shell.state.run / "control.sock").stat().st_mode) == 0o600


def test_logs_follow_what_happens_next(shell: Shell, repository: Path) -> None:
    assert shell("up", "-d", *_SERVERS, "--port", str(free_port())).exit_code == 0
    past = [json.loads(line) for line in shell("logs", "--json", "-n", "1000").output.splitlines()]
    assert {line["service"] for line in past} == {"runtime", "nats", "postgres", "initdb"}
    assert [line["time"] for line in past] == sorted(line["time"] for line in past)

    follow = [sys.executable, "-m", "services.cli.main", "logs", "runtime", "-f", "-n", "1"]
    with subprocess.Popen(
        [*follow, "--state-dir", str(shell.state.root)], cwd=repository, stdout=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        # The last of the past is there: from now on it follows.
        assert following.stdout.readline()
        assert shell("restart", "nats").exit_code == 0
        assert "part restarting part=nats" in following.stdout.readline()
        assert "part healthy part=nats" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130


@pytest.mark.chaos
async def test_migrate_prepares_what_is_missing_and_says_so(shell: Shell) -> None:
    listed = json.loads(shell("migrate", "--dry-run", "--json").output)
    assert not shell.state.root.exists(), "a look leaves nothing behind"
    applied = json.loads(shell("migrate", "--json").output)
    assert applied == {**listed, "dryRun": False}
    assert set(applied["migrations"]) == set(SERVICES)
    assert "READINGS" in applied["streams"]
    assert not processes_of(shell.state.root)
    assert "nothing to do" in shell("migrate").output
    assert 'database "tocsin" does not exist' not in (shell.state.logs / "postgres.log").read_text()

    assert shell("up", "-d", *_SERVERS, "--port", str(free_port())).exit_code == 0
    while_up = shell("migrate")
    assert (while_up.exit_code, while_up.output) == (2, "")
    assert "already up" in while_up.errors
    assert "'--dry-run' only reads" in while_up.errors
    connection = await asyncpg.connect(running_instance(shell.state).postgres_dsn)
    await connection.execute("DROP SCHEMA media_probe CASCADE")
    await connection.close()
    password = shell.state.secret(f"nats.{RUNTIME_USER}")
    broker = await nats.connect(running_instance(shell.state).nats_url, user=RUNTIME_USER, password=password)
    await broker.jetstream().delete_stream("ALARMS")
    await broker.close()
    missing = {"migrations": {"media_probe": listed["migrations"]["media_probe"]}, "streams": ["ALARMS"]}
    assert json.loads(shell("migrate", "--json", "--dry-run").output) == {"dryRun": True, **missing}
    assert shell("stop").exit_code == 0
    for arguments, dry_run in ((("--dry-run",), True), (("--dry-run",), True), ((), False)):
        assert json.loads(shell("migrate", "--json", *arguments).output) == {"dryRun": dry_run, **missing}
    assert "nothing to do" in shell("migrate", "--dry-run").output
