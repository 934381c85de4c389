"""What a service waits for before it is started in a deployment: its stores, the migration of its version, streams."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from services.cli.runtime.postgres_address import at_database
from tests.support.own_nats import OwnNats
from tests.support.postgres import PostgresServer


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


class Deployment:
    """Secrets and servers, on which nothing is prepared yet."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self.secrets, self.dsn = directory / "secrets", dsn
        self.run("deployment", "secrets", str(self.secrets), TOCSIN_POSTGRES_DSN=dsn)
        self.nats = OwnNats(directory / "nats", (self.secrets / "nats" / "accounts.conf").read_text())

    def command(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        command = [sys.executable, "-m", "services.cli.main", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env={**own, **environment}, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def run(self, *arguments: str, **environment: str) -> str:
        with self.command(*arguments, **environment) as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        return said

    def migrate(self) -> None:
        directory = str(self.secrets / "migrate")
        self.run(
            *("migrate", "--secrets", f"{directory}/secrets.json"),
            TOCSIN_SECRETS_DIR=directory,
            TOCSIN_NATS_URL=self.nats.url,
        )

    def waiting(self, within: str) -> "subprocess.Popen[str]":
        directory = str(self.secrets / "media-probe")
        return self.command(
            *("deployment", "wait", "media-probe", "--within", within),
            TOCSIN_SECRETS_DIR=directory,
            TOCSIN_NATS_URL=self.nats.url,
        )


@pytest.fixture
async def deployment(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Deployment]:
    made = Deployment(tmp_path, at_database(postgres.dsn(), "plant"))
    yield made
    made.nats.stop()


async def test_it_waits_until_all_is_prepared(deployment: Deployment) -> None:
    with deployment.waiting("60s") as process:
        assert process.stdout is not None
        # Neither database nor role is there yet, and nobody listens for NATS.
        first = await asyncio.to_thread(process.stdout.readline)
        assert first.startswith("waits: ")
        deployment.nats.start()
        await asyncio.to_thread(deployment.migrate)
        assert await asyncio.to_thread(process.wait, 30) == 0
        assert process.stdout.read().splitlines()[-1] == "media-probe can be started"


async def test_it_ends_with_what_is_missing(deployment: Deployment) -> None:
    deployment.nats.start()
    await asyncio.to_thread(deployment.migrate)
    connection = await asyncpg.connect(deployment.dsn)
    try:
        ledger = "media_probe.schema_migrations"
        await connection.execute(f"DELETE FROM {ledger} WHERE id = (SELECT max(id) FROM {ledger})")
        with deployment.waiting("1s") as process:
            said, _ = await asyncio.to_thread(process.communicate, None, 30)
        assert process.returncode == 1
        assert "1 migrations are to come" in said

        # The version before finds more than it knows, as after a rollback, and works on it.
        await connection.execute(
            "INSERT INTO media_probe.schema_migrations (id, checksum) VALUES ('media_probe_9999_later', 'x')"
        )
        with deployment.waiting("1s") as process:
            said, _ = await asyncio.to_thread(process.communicate, None, 30)
        assert process.returncode == 0, said
    finally:
        await connection.close()
