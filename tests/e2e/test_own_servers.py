"""One mesh on two hosts (two state directories, two addresses), on a PostgreSQL and a NATS server of the operator's."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest

from services.cli.client import open_mesh
from services.cli.runtime.state import StateDir
from tests.e2e.conftest import until
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.rest import trust

pytestmark = pytest.mark.chaos


class Host:
    """`tocsin` on one host."""

    def __init__(self, repository: Path, root: Path, **environment: str) -> None:
        self.state = StateDir(root)
        self._repository = repository
        self.environment = environment

    def tocsin(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        return subprocess.run(
            [sys.executable, "-m", "services.cli.main", *arguments, "--state-dir", str(self.state.root)],
            cwd=self._repository,
            env={**own, **self.environment, **environment, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def up(self, only: str) -> str:
        """Starts the parts; what was told."""
        done = self.tocsin("up", "--detach", "--only", only)
        assert done.returncode == 0, done
        return done.stdout + done.stderr

    def status(self) -> tuple[int, dict[str, Any]]:
        done = self.tocsin("status", "--json")
        return done.returncode, json.loads(done.stdout)


@dataclass(frozen=True)
class TwoHosts:
    one: Host
    other: Host
    nats: OwnNats
    postgres: PostgresServer
    repository: Path
    told: str
    """By the first start."""

    @property
    def edge(self) -> str:
        return f"http://127.0.0.2:{self.other.environment['TOCSIN_EDGE_PORT']}"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[TwoHosts]:
    directory = tmp_path_factory.mktemp("own")
    postgres = PostgresServer(tmp_path_factory.mktemp("own-postgres"))
    ingestion = free_port()
    one = Host(repository, directory / "one", TOCSIN_INGESTION_HOST="127.0.0.1", TOCSIN_INGESTION_PORT=str(ingestion))
    names = ("aggregation", "media_probe", "notification")
    other = Host(
        repository,
        directory / "other",
        TOCSIN_EDGE_HOST="127.0.0.2",
        TOCSIN_EDGE_PORT=str(free_port()),
        TOCSIN_METRICS_HOST="127.0.0.2",
        TOCSIN_PEER_INGESTION=f"127.0.0.1:{ingestion}",
        **{f"TOCSIN_{name.upper()}_HOST": "127.0.0.2" for name in names},
    )
    printed = one.tocsin("nats", "permissions")
    assert printed.returncode == 0, printed
    server = OwnNats(directory / "nats", printed.stdout)
    server.start()
    postgres.start()
    try:
        for host in (one, other):
            host.environment |= {"TOCSIN_NATS_URL": server.url, "TOCSIN_POSTGRES_DSN": postgres.dsn("mesh")}
        told = one.up("ingestion")
        other.state.root.mkdir(mode=0o700)
        shutil.copy(one.state.secrets_file, other.state.root)
        shutil.copytree(one.state.auth, other.state.auth)
        other.up("aggregation,media-probe,notification,gateway,envoy")
        yield TwoHosts(one, other, server, postgres, repository, told)
    finally:
        for host in (other, one):
            host.tocsin("stop")
        server.stop()
        postgres.stop()


def test_a_reading_goes_through_both_hosts(hosts: TwoHosts) -> None:
    health = httpx.get(f"{hosts.edge}/health", timeout=10, verify=trust())
    assert health.status_code == 200, health.text
    headers = {"authorization": f"Bearer {open_mesh(hosts.other.state.root).token()}"}
    with httpx.Client(base_url=hosts.edge, headers=headers, timeout=30, verify=trust()) as client:
        reading = {"building": "tower", "room": "lobby", "sensorType": "temperature", "value": 21.5, "unit": "C"}
        sent = client.post("/v1/readings", json=reading)
        assert sent.status_code == 200, sent.text

        def average() -> bool:
            answer = client.get("/v1/buildings/tower/rooms/lobby/average")
            return answer.status_code == 200 and answer.json().get("statistics", {}).get("count") == "1"

        until(average, what="the average of the reading")
    assert "sync_interval" in hosts.told
    assert "the login of" not in hosts.told


def test_each_part_has_its_own_login_and_others_can_do_what_they_are_for(hosts: TwoHosts) -> None:
    async def look() -> None:
        assert await hosts.nats.users() == {"ingestion", "aggregation", "media_probe", "notification"}
        lines = {
            name: dict(line.split("=", 1) for line in (hosts.one.state.credentials / f"{name}.env").read_text().split())
            for name in ("gateway", "downstream")
        }
        login = {"user": lines["gateway"]["NATS_USER"], "password": lines["gateway"]["NATS_PASSWORD"]}
        client = await nats.connect(lines["gateway"]["NATS_URL"], **login)
        try:
            payload = json.dumps({"id": "bin", "d": {"filling_level": 1}, "ts": int(time.time())}).encode()
            ack = await client.jetstream().publish("tocsin.payloads.v1.env1", payload)
            assert ack.stream == "PAYLOADS"
        finally:
            await client.close()
        refused = asyncio.Event()

        async def hear(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                refused.set()

        login = {"user": lines["downstream"]["NATS_USER"], "password": lines["downstream"]["NATS_PASSWORD"]}
        client = await nats.connect(hosts.nats.url, error_cb=hear, **login)
        try:
            await client.publish("tocsin.readings.v1.0", b"forged")
            await asyncio.wait_for(refused.wait(), 5)
        finally:
            await client.close()

    asyncio.run(look())


def test_status_shows_servers_with_address_version_and_health_and_no_password(hosts: TwoHosts) -> None:
    code, content = hosts.other.status()
    assert code == 0, content
    servers = {server["name"]: server for server in content["servers"]}
    assert servers["nats"]["address"] == hosts.nats.url
    assert servers["nats"]["version"]
    assert servers["postgres"]["address"] == f"127.0.0.1:{hosts.postgres.port}"
    assert servers["postgres"]["version"].split(".")[0].isdigit()
    assert all(server["healthy"] and server["roundTripSeconds"] < 3 for server in servers.values())
    assert "READINGS" in {stream["name"] for stream in content["streams"]}
    metrics = {part["name"]: part["metrics"] for part in content["parts"]}
    assert all(address.startswith("127.0.0.2:") for address in metrics.values()), metrics
    assert httpx.get(f"http://{metrics['envoy']}/metrics", timeout=10, verify=trust()).status_code == 200
    table = hosts.other.tocsin("status").stdout
    assert hosts.nats.url in table
    said = table + json.dumps(content) + hosts.told
    secrets = [*hosts.one.state.known_secrets().values(), "tests-only"]
    assert not [secret for secret in secrets if secret in said]

    hosts.nats.stop()
    try:
        code, content = hosts.other.status()
        assert code == 1
        (server,) = [server for server in content["servers"] if server["name"] == "nats"]
        assert not server["healthy"]
        assert "cannot be reached" in server["reason"]
    finally:
        hosts.nats.start()
    until(lambda: hosts.other.status()[0] == 0, timeout=60, what="a mesh that is well again")


def test_a_server_that_does_not_let_us_in_is_told_in_words(hosts: TwoHosts) -> None:
    stranger = Host(hosts.repository, hosts.one.state.root.parent / "stranger", **hosts.one.environment)
    stranger.environment |= {
        "TOCSIN_POSTGRES_DSN": hosts.postgres.dsn("stranger"),
        "TOCSIN_INGESTION_PORT": str(free_port()),
    }
    done = stranger.tocsin("up", "--detach", "--only", "ingestion")
    assert done.returncode == 1
    assert "does not let user runtime in" in done.stderr, done.stderr
    assert "tocsin nats permissions" in done.stderr
