"""A deployment without the runtime: what `tocsin deployment secrets` writes lets each part in, and no more."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.runtime.postgres_address import at_database
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    (tmp_path / "postgres").mkdir()
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


def tocsin(*arguments: str, **environment: str) -> str:
    """Runs a command to its end, which has to be a good one; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        env=clean(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def clean(environment: dict[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return {**own, **environment}


async def test_services_run_on_the_files_of_their_part(tmp_path: Path, postgres: PostgresServer) -> None:
    secrets = tmp_path / "secrets"
    dsn = at_database(postgres.dsn(), "plant")
    # What Envoy, the gateway and Kubernetes are told is in their own configuration; the secrets are all in files.
    tocsin("deployment", "secrets", str(secrets), TOCSIN_POSTGRES_DSN=dsn)
    nats = OwnNats(tmp_path / "nats", (secrets / "nats" / "accounts.conf").read_text())
    nats.start()
    service: subprocess.Popen[bytes] | None = None
    try:
        told = {"TOCSIN_NATS_URL": nats.url}
        migrate = {**told, "TOCSIN_SECRETS_DIR": str(secrets / "migrate")}
        file = str(secrets / "migrate" / "secrets.json")
        assert "0 migrations" not in tocsin("migrate", "--secrets", file, **migrate)
        assert "nothing to do" in tocsin("migrate", "--secrets", file, **migrate)
        own = secrets / "media-probe"
        listen = {"TOCSIN_GRPC_LISTEN": f"127.0.0.1:{free_port()}"}
        environment = {
            **told,
            **listen,
            "TOCSIN_SECRETS_DIR": str(own),
            "TOCSIN_PEER_TOKEN_FILE": str(own / "peer.jwt"),
            "TOCSIN_PEER_JWKS_FILE": str(own / "jwks.json"),
            "TOCSIN_PEER_INGESTION": "127.0.0.1:1",
        }
        service = subprocess.Popen([sys.executable, "-m", "services.media_probe"], env=clean(environment))
        await asyncio.to_thread(tocsin, "healthcheck", "media-probe", "--wait", "30s", **listen)
        assert await nats.users() == {"media_probe"}
    finally:
        if service is not None:
            service.terminate()
            assert service.wait(timeout=20) == 0
        nats.stop()
