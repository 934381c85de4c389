"""`tocsin doctor` on a PostgreSQL and a NATS server of the operator's, whole and broken in several ways."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import nats
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.chassis.mesh_names import MeshNames
from services.cli.doctor.check import Finding, Verdict, examine
from services.cli.doctor.checks import all_checks
from services.cli.doctor.deployment import read_deployment
from services.cli.main import run
from services.cli.runtime.credentials import ensure_nats_passwords
from services.cli.runtime.nats_accounts import RUNTIME_USER
from services.cli.runtime.own_nats import accounts_block
from services.cli.runtime.postgres_address import with_login
from services.cli.runtime.settings import SERVICES, read_settings
from services.cli.runtime.state import StateDir
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer

WITHIN, SOON = timedelta(seconds=8), timedelta(seconds=3)
OWNER, PASSWORD = "tocsin_owner", "of-tests"
TENANTS = ("default",)


@dataclass(frozen=True)
class Own:
    """Servers of the operator's, prepared by `tocsin migrate` from a state directory."""

    postgres: PostgresServer
    nats: OwnNats
    state: Path
    nats_password: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TOCSIN_POSTGRES_DSN": with_login(self.postgres.dsn("tocsin"), OWNER, PASSWORD),
            "TOCSIN_NATS_URL": self.nats.url,
            "TOCSIN_NOTIFICATION_TENANTS": ",".join(TENANTS),
        }

    async def findings(
        self, *, within: timedelta = WITHIN, monitor: str = "", changed: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Finding]:
        """What the checks come to, by name."""
        settings = read_settings(self.state, {}, environment=self.environment | dict(changed))
        deployment = read_deployment(settings, edge_url="", edge_ca_file="", nats_monitor_url=monitor)
        return {finding.check: finding for finding in await examine(all_checks(deployment), within)}

    async def sql(self, *statements: str, database: str = "tocsin") -> None:
        connection = await asyncpg.connect(self.postgres.dsn(database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Own]:
    root = tmp_path_factory.mktemp("own")
    state = root / "state"
    passwords = ensure_nats_passwords(StateDir(state), SERVICES, TENANTS)
    broker = OwnNats(root / "nats", accounts_block(SERVICES, TENANTS, passwords, MeshNames()))
    (root / "postgres").mkdir()
    database = PostgresServer(root / "postgres", {"fsync": "on"})
    made = Own(database, broker, state, passwords[RUNTIME_USER])
    database.start()
    broker.start()
    try:
        asyncio.run(
            made.sql(
                f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD '{PASSWORD}'",
                f"CREATE DATABASE tocsin OWNER {OWNER}",
                database="postgres",
            )
        )
        done = tocsin(repository, made, "migrate")
        assert done.returncode == 0, done.stderr
        yield made
    finally:
        broker.stop()
        database.stop()


def tocsin(repository: Path, own: Own, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    others = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments, "--state-dir", str(own.state)],
        cwd=repository,
        env={**others, **own.environment, **environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def verdicts(found: Mapping[str, Finding], verdict: Verdict) -> set[str]:
    return {name for name, finding in found.items() if finding.verdict is verdict}


async def test_a_prepared_deployment_has_nothing_to_be_mended_and_is_not_changed(own: Own) -> None:
    before = _content(own.state)
    found = await own.findings()
    assert verdicts(found, Verdict.FAILED) == set(), found
    # No runtime is here, whether NATS syncs cannot be seen, and there is no identity provider.
    assert verdicts(found, Verdict.WARNING) <= {"edge", "nats durability", "identity", "disk of the state directory"}
    assert found["migrations"].seen == "up to date"
    assert found["postgres role of ingestion"].seen.startswith("logs in, and has its schema with ")
    assert found["stream replicas"].seen.endswith("each with 1")
    assert "± " in found["postgres clock"].seen
    assert "± " in found["nats clock"].seen
    assert "no TLS is offered" in found[f"certificate of 127.0.0.1:{own.nats.port}"].seen
    assert _content(own.state) == before


def _content(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in root.rglob("*")
        if path.is_file() and path.name != "lock"
    }


@pytest.fixture
async def broken_rights(own: Own) -> AsyncIterator[None]:
    await own.sql(
        f"ALTER ROLE {OWNER} NOCREATEROLE",
        "ALTER ROLE tocsin_ingestion PASSWORD 'another'",
        "REVOKE CREATE ON DATABASE tocsin FROM tocsin_notification",
        "ALTER ROLE tocsin_aggregation IN DATABASE tocsin RESET search_path",
        "ALTER DATABASE tocsin OWNER TO tocsin_admin",
    )
    yield
    secrets = json.loads((own.state / "secrets.json").read_text())
    await own.sql(
        f"ALTER ROLE {OWNER} CREATEROLE",
        f"ALTER ROLE tocsin_ingestion PASSWORD '{secrets['postgres.ingestion']}'",
        "GRANT CREATE ON DATABASE tocsin TO tocsin_notification",
        "ALTER ROLE tocsin_aggregation IN DATABASE tocsin SET search_path = aggregation",
        f"ALTER DATABASE tocsin OWNER TO {OWNER}",
    )


@pytest.mark.usefixtures("broken_rights")
async def test_rights_that_are_missing_are_named_with_what_gives_them(own: Own) -> None:
    found = await own.findings()
    assert verdicts(found, Verdict.FAILED) == {
        "postgres role of ingestion",
        "postgres role of aggregation",
        "postgres role of notification",
    }
    rights = found["postgres rights"]
    assert rights.verdict is Verdict.WARNING, "all roles and schemas are there"
    assert "may not make roles" in rights.seen
    assert "does not own the database (tocsin_admin does)" in rights.seen
    assert f'ALTER ROLE "{OWNER}" CREATEROLE' in rights.advice
    assert f'ALTER DATABASE "tocsin" OWNER TO "{OWNER}"' in rights.advice
    assert "password authentication failed" in found["postgres role of ingestion"].seen
    assert found["postgres role of aggregation"].seen == "its search_path is not aggregation"
    assert found["postgres role of notification"].seen == "may not make schemas of tenants"


async def test_statements_of_the_documents_make_what_is_needed(own: Own, repository: Path) -> None:
    """Where somebody else makes roles and schemas, the role that prepares the database may make none."""
    secrets = json.loads((own.state / "secrets.json").read_text())
    text = (repository / "docs" / "operations.md").read_text()
    made, each = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)[:2]
    common, _, for_notification = each.partition("-- For notification alone:\n")
    names = {
        "tocsin_owner": "plain_owner",
        " tocsin ": " plain ",
        "tocsin;": "plain;",
        "DATABASE tocsin": "DATABASE plain",
    }

    def renamed(statements: str) -> str:
        for one, other in {"database tocsin": "database plain", "tocsin_": "plain_", **names}.items():
            statements = statements.replace(one, other)
        return statements.replace("'...'", "'of-tests'")

    await own.sql(*renamed(made).replace(" CREATEROLE", "").split(";\n")[:2], database="postgres")
    await own.sql("ALTER DATABASE plain OWNER TO tocsin_admin", database="postgres")
    for service in SERVICES:
        password = f"'{secrets[f'postgres.{service}']}'"
        statements = renamed(common.replace("ingestion", service).replace("'...'", password))
        await own.sql(statements, database="plain")
    await own.sql(renamed(for_notification), database="plain")
    other = {"TOCSIN_POSTGRES_DSN": with_login(own.postgres.dsn("plain"), "plain_owner", "of-tests")}
    before = await own.findings(changed=other)
    assert before["postgres rights"].verdict is Verdict.WARNING
    assert verdicts(before, Verdict.FAILED) == {"migrations"}
    done = await asyncio.to_thread(tocsin, repository, own, "migrate", **other, TOCSIN_MOVE="true")
    assert done.returncode == 0, done.stderr
    assert verdicts(await own.findings(changed=other), Verdict.FAILED) == set()


async def test_migrations_that_are_missing_are_named(own: Own) -> None:
    applied = "media_probe.schema_migrations"
    connection = await asyncpg.connect(own.postgres.dsn("tocsin"))
    try:
        last = await connection.fetchrow(
            f"DELETE FROM {applied} WHERE id = (SELECT max(id) FROM {applied}) RETURNING id, checksum"
        )
        assert last is not None
        try:
            found = await own.findings()
        finally:
            await connection.execute(f"INSERT INTO {applied} (id, checksum) VALUES ($1, $2)", *last)
    finally:
        await connection.close()
    assert verdicts(found, Verdict.FAILED) == {"migrations"}
    assert f"media-probe: {last['id']}" in found["migrations"].seen


async def test_streams_that_differ_are_named(own: Own) -> None:
    client = await nats.connect(own.nats.url, user=RUNTIME_USER, password=own.nats_password)
    try:
        stream = client.jetstream()
        info = await stream.stream_info("ALERTS")
        await stream.update_stream(replace(info.config, max_age=3600.0, max_bytes=2048, description="mine"))
        await client.publish("tocsin.alerts.v1.test", b"x" * 1900)
        await client.flush()
        try:
            found = await own.findings()
            wanted = await own.findings(changed={"TOCSIN_NATS_REPLICAS": "3"})
        finally:
            await stream.update_stream(info.config)
            await stream.purge_stream("ALERTS")
    finally:
        await client.close()
    assert verdicts(found, Verdict.FAILED) == {"streams", "stream room"}
    assert found["streams"].seen == "missing, or other than they should be: ALERTS"
    assert found["stream room"].seen.startswith("ALERTS 9")
    assert "stream replicas" in verdicts(wanted, Verdict.FAILED)
    assert "3 are wanted; " in wanted["stream replicas"].seen


async def test_whether_nats_syncs_is_seen_at_its_monitoring_port(own: Own, tmp_path: Path) -> None:
    assert (await own.findings(monitor=own.nats.monitor_url))["nats durability"].seen == "sync_interval: always"
    lax = OwnNats(tmp_path / "lax", "", sync_interval='"2m"')
    lax.start()
    try:
        found = (await own.findings(monitor=lax.monitor_url))["nats durability"]
    finally:
        lax.stop()
    assert (found.verdict, found.seen) == (Verdict.FAILED, "what is acknowledged reaches the disk within 120 s only")


async def test_logins_that_do_not_fit_are_named(own: Own, tmp_path: Path) -> None:
    other = replace(own, state=tmp_path / "state")
    shutil.copytree(own.state, other.state)
    secrets = json.loads((other.state / "secrets.json").read_text())
    secrets |= {"nats.ingestion": "a-guess", "nats.downstream": "a-guess"}
    del secrets["postgres.media_probe"]
    (other.state / "secrets.json").write_text(json.dumps(secrets))
    (other.state / "secrets.json").chmod(0o600)
    found = await other.findings()
    assert verdicts(found, Verdict.FAILED) == {
        "nats login of ingestion",
        "nats login downstream",
        "secrets",
        "postgres role of media-probe",
    }
    assert found["secrets"].seen == "does not hold postgres.media_probe"


async def test_a_server_that_hangs_delays_no_other(own: Own) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        url = f"nats://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        found = await own.findings(within=SOON, changed={"TOCSIN_NATS_URL": url})
    assert time.monotonic() - begun < 2 * SOON.total_seconds()
    assert found["nats"].verdict is Verdict.FAILED
    assert found["streams"].seen == "not looked at, as 'nats' is not well"
    assert found["migrations"].verdict is Verdict.OK


async def test_servers_that_are_not_there(own: Own) -> None:
    found = await own.findings(
        changed={
            "TOCSIN_NATS_URL": f"nats://127.0.0.1:{free_port()}",
            "TOCSIN_POSTGRES_DSN": f"postgresql://a:b@127.0.0.1:{free_port()}/tocsin",
        }
    )
    assert "nothing listens on 127.0.0.1" in found["postgres"].seen
    assert "cannot be reached" in found["nats"].seen
    nowhere = with_login(own.postgres.dsn("nowhere"), OWNER, PASSWORD)
    other = await own.findings(changed={"TOCSIN_POSTGRES_DSN": nowhere})
    assert "has no database nowhere" in other["postgres"].seen
    assert other["postgres"].advice == "'tocsin migrate' makes it"


async def test_certificates_and_tokens_that_end(own: Own, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    soon = certificate(tmp_path / "soon.pem", now + timedelta(days=3))
    over = certificate(tmp_path / "over.pem", now - timedelta(days=3))
    letter = tmp_path / "letter.pem"
    letter.write_text("Dear reader,")
    found = await own.findings(
        changed={
            "TOCSIN_EDGE_TLS_CERT_FILE": str(soon),
            "TOCSIN_GRPC_TLS_CERT_FILE": str(over),
            "TOCSIN_GRPC_TLS_CA_FILE": str(letter),
        }
    )
    assert found["certificate TOCSIN_EDGE_TLS_CERT_FILE"].verdict is Verdict.WARNING
    assert "(2 days)" in found["certificate TOCSIN_EDGE_TLS_CERT_FILE"].seen
    assert found["certificate TOCSIN_GRPC_TLS_CERT_FILE"].verdict is Verdict.FAILED
    assert "holds no certificate" in found["certificate TOCSIN_GRPC_TLS_CA_FILE"].seen
    assert found["peer token of ingestion"].seen.endswith("(29 days)")


async def test_a_certificate_that_a_server_shows(tmp_path: Path) -> None:
    from services.cli.doctor.served_certificates import edge_certificate, nats_certificate, postgres_certificate

    pem = certificate(tmp_path / "server.pem", datetime.now(UTC) + timedelta(days=5))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def serve_postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await writer.start_tls(context)
        await serve(reader, writer)

    async def serve_nats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","tls_required":true}\r\n')
        await writer.drain()
        await writer.start_tls(context)
        await serve(reader, writer)

    for handler, look, tls in (
        (serve, edge_certificate, context),
        (serve_postgres, postgres_certificate, None),
        (serve_nats, nats_certificate, None),
    ):
        async with await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls) as server:
            outcome = await look("127.0.0.1", server.sockets[0].getsockname()[1])
        assert outcome.verdict is Verdict.WARNING
        assert outcome.seen.startswith("CN=doctor.test of 127.0.0.1:")


def certificate(path: Path, ends: datetime) -> Path:
    """A file with a certificate that ends then, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "doctor.test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(encoding) + private)
    return path


def test_the_command_says_what_to_mend(
    own: Own, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in own.environment.items():
        monkeypatch.setenv(name, value)
    arguments = ["doctor", "--state-dir", str(own.state)]
    assert run([*arguments, "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert content["healthy"] is True
    assert {"check", "lookedAt", "verdict", "seen", "advice", "seconds", "hung"} == content["checks"][0].keys()
    assert run([*arguments, "--strict", "--edge", f"http://127.0.0.1:{free_port()}"]) == 1
    told = capsys.readouterr().out
    assert "To mend:" in told
    assert "edge: see whether Envoy is up" in told
    monkeypatch.setenv("TOCSIN_NATS_REPLICAS", "many")
    assert run(arguments) == 2
    assert capsys.readouterr().err == "tocsin: TOCSIN_NATS_REPLICAS must be from 1 to 5, not 'many'\n"
