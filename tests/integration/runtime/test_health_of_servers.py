"""What the probes of the embedded servers find, on those servers."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import asyncpg
import nats
import nats.errors
import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.runtime import nats_health, probes
from services.cli.runtime.health import HealthLimits
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.nats_accounts import RUNTIME_USER, SYSTEM_USER
from services.cli.runtime.nats_health import NatsHealth
from services.cli.runtime.nats_monitor import nats_monitor
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.postgres_health import PostgresHealth
from services.cli.runtime.state import StateDir
from services.cli.runtime.status import PartReport, read_reports
from services.cli.runtime.stream_memory import StreamMemory, read_losses
from tests.integration.runtime.conftest import CommandLine, Shell
from tests.support.eventually import eventually

Make = Callable[..., CommandLine]
# So that a test does not take half a minute; the limits themselves are tested as rules.
IMPATIENT = {"TOCSIN_UNHEALTHY_AFTER": "1s", "TOCSIN_RESTART_AFTER": "4s"}


def nats_probe(state: StateDir, instance: Instance) -> NatsHealth:
    return NatsHealth(
        "127.0.0.1",
        instance.ports["nats"],
        runtime_password=state.secret(f"nats.{RUNTIME_USER}"),
        system_password=state.secret(f"nats.{SYSTEM_USER}"),
        store=state.nats,
        memory=StreamMemory(state, lambda *_: None, MeshNames()),
        names=MeshNames(),
    )


def postgres_probe(state: StateDir, instance: Instance) -> PostgresHealth:
    password = state.secret(f"postgres.{SUPERUSER}")
    return PostgresHealth(
        "127.0.0.1", instance.ports["postgres"], user=SUPERUSER, password=password, data=state.postgres
    )


def report(one: CommandLine, part: str) -> PartReport:
    return next(report for report in read_reports(one.state) if report.name == part)


async def test_servers_that_work_and_servers_without_room(command_line: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    one = command_line()
    one.start()
    await one.up()
    instance = running_instance(one.state)
    assert "nats_monitor" not in instance.ports
    for probe, module in (
        (nats_probe(one.state, instance), nats_health),
        (postgres_probe(one.state, instance), probes),
    ):
        await probe(HealthLimits().within)
        await probe(HealthLimits().within)
        with monkeypatch.context() as patch:
            patch.setattr(probes, "free_bytes", lambda _: 24 * 1024)
            patch.setattr(module, "free_bytes", lambda _: 24 * 1024)
            with pytest.raises(Unhealthy, match="no room left on the disk: 24 KiB free") as refusal:
                await probe(HealthLimits().within)
        # A restart does not mend that; the operator hears what does.
        assert not refusal.value.own
        assert "it goes on by itself then" in refusal.value.advice
        await probe(HealthLimits().within)
        await probe.close()
    # The probe's write is a row of its own, in the database that is not the services'.
    connection = await asyncpg.connect(instance.postgres_dsn.replace("/tocsin?", "/postgres?"))
    assert await connection.fetchval("SELECT count(*) FROM tocsin_runtime.heartbeat") == 1
    await connection.close()
    await _only_the_system_account_asks_the_server(one, instance)


async def _only_the_system_account_asks_the_server(one: CommandLine, instance: Instance) -> None:
    async with nats_monitor(instance.nats_url, one.state.secret(f"nats.{SYSTEM_USER}")) as monitor:
        assert await monitor.trouble() == ""
        names = {
            stream["name"]
            for account in (await monitor.streams())["account_details"]
            for stream in account["stream_detail"]
        }
    assert {"READINGS", "HEALTH"} <= names
    for user in ("cli", "ingestion", "gateway", "downstream"):
        refused: list[Exception] = []

        async def hear(error: Exception, refused: list[Exception] = refused) -> None:
            refused.append(error)

        client = await nats.connect(
            instance.nats_url, user=user, password=one.state.secret(f"nats.{user}"), error_cb=hear
        )
        with pytest.raises((nats.errors.Error, TimeoutError)):
            await client.request("$SYS.REQ.SERVER.PING.HEALTHZ", b"", timeout=0.5)
        await client.close()


@pytest.mark.chaos
@pytest.mark.parametrize("part", ["nats", "postgres"])
async def test_a_server_that_hangs_is_told_and_restarted(command_line: Make, part: str) -> None:
    one = command_line("state", **IMPATIENT)
    one.start()
    before = (await one.up())[part]["pid"]
    os.kill(before, signal.SIGSTOP)
    await eventually(lambda: report(one, part).state == "unhealthy", timeout=20, what="the fault told")
    told = report(one, part)
    assert "does not answer within" in told.reason
    assert told.unhealthy_seconds is not None
    await eventually(
        lambda: report(one, part).healthy and report(one, part).pid != before, timeout=40, what="the part restarted"
    )
    _, output, _ = await one.stop()
    assert f"{part}" in output
    assert "starting it again: does not answer within" in output


@pytest.mark.chaos
async def test_a_stream_that_comes_back_shorter_is_told(command_line: Make, shell: Shell) -> None:
    one = command_line(shell.state.root.name)
    one.start()
    await one.up()
    instance = running_instance(one.state)
    client = await nats.connect(
        instance.nats_url, user="ingestion", password=one.state.secret("nats.ingestion"), name="test"
    )
    for number in range(20):
        await client.jetstream().publish("tocsin.alerts.v1.reported", b"%d" % number)
    await client.close()
    memory = one.state.root / "streams.json"
    await eventually(
        lambda: memory.exists() and json.loads(memory.read_text())["streams"]["ALERTS"]["last_sequence"] == 20
    )
    await one.stop()
    messages = one.state.nats / "jetstream" / "MESH" / "streams" / "ALERTS" / "msgs"
    (messages / "index.db").unlink()
    _halve(messages / "1.blk")
    one.start()
    await one.up()
    (loss,) = read_losses(one.state)
    assert loss.stream == "ALERTS"
    assert "and was 20" in loss.what
    shell("status", "--acknowledge")
    await eventually(lambda: not read_losses(one.state), what="the loss acknowledged")
    _, output, _ = await one.stop()
    assert f"stream ALERTS {loss.what}" in output


async def test_a_stream_that_cannot_be_read_ends_the_start_with_what_to_do(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    await one.stop()
    stream = one.state.nats / "jetstream" / "MESH" / "streams" / "ALERTS"
    os.truncate(stream / "meta.inf", 0)
    one.start()
    exit_code, _, errors = await one.ended()
    assert exit_code == 1
    assert "nats does not start: JetStream stream 'MESH > ALERTS' could not be recovered" in errors
    assert f"put {stream} back from a backup, or remove it" in errors
    # As told: made anew.
    shutil.rmtree(stream)
    one.start()
    await one.up()


def _halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)
