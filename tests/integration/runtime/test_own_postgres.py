"""A PostgreSQL server of the operator's: several meshes, several hosts, other users of it, and what is refused."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from services.cli.runtime import postgres_server
from services.cli.runtime.database import DatabaseOptions, pending_migrations, prepare_database
from services.cli.runtime.database_roles import ServiceSchema, role_name
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.postgres_address import at_database, read_dsn, with_login
from services.cli.runtime.settings import PROJECT, SERVICES
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer

COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
OWNER, OWNER_PASSWORD = "an owner", "p@ss/w#rd:1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("own"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def owner(server: PostgresServer) -> AsyncIterator[str]:
    """The DSN of a role that may create roles and databases and nothing else; all that a test made goes with it."""
    await _as(
        server.dsn(), f"CREATE ROLE \"{OWNER}\" LOGIN NOSUPERUSER CREATEROLE CREATEDB PASSWORD '{OWNER_PASSWORD}'"
    )
    yield with_login(server.dsn(), OWNER, OWNER_PASSWORD)
    connection = await asyncpg.connect(server.dsn())
    try:
        for (name,) in await connection.fetch("SELECT datname FROM pg_database WHERE oid >= 16384"):
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        for (name,) in await connection.fetch("SELECT rolname FROM pg_roles WHERE oid >= 16384"):
            await connection.execute(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
    finally:
        await connection.close()


async def _as(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def schemas(dsn: str, password: str, prefix: str = "") -> tuple[ServiceSchema, ...]:
    database = read_dsn(dsn, "DSN").database
    return tuple(
        ServiceSchema(
            service,
            role_name(database, service, prefix),
            f"{password}-{service}",
            PROJECT / "services" / service / "migrations",
            makes_schemas=service == "notification",
        )
        for service in SERVICES
    )


async def prepare(dsn: str, password: str, prefix: str = "", **options: bool) -> dict[str, list[str]]:
    return await prepare_database(dsn, read_dsn(dsn, "DSN"), schemas(dsn, password, prefix), DatabaseOptions(**options))


async def login_all(dsn: str, password: str, prefix: str = "") -> None:
    """Every service logs in, works in its schema and in no other."""
    for schema in schemas(dsn, password, prefix):
        role = with_login(dsn, schema.role, schema.password)
        assert await _as(role, "SELECT current_schema()") == schema.service
        await _as(role, "CREATE TEMPORARY TABLE mine AS SELECT * FROM schema_migrations")
        for other in set(SERVICES) - {schema.service}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await _as(role, f"SELECT * FROM {other}.schema_migrations")


async def test_two_meshes_in_two_databases_live_side_by_side(owner: str) -> None:
    a, b = at_database(owner, "tocsin_a"), at_database(owner, "tocsin_b")
    for dsn, password in ((a, "one"), (b, "two")):
        applied = await prepare(dsn, password)
        assert all(applied.values())
    for dsn, password in ((a, "one"), (b, "two")):
        await login_all(dsn, password)
        assert await prepare(dsn, password) == {service: [] for service in SERVICES}
        await login_all(dsn, password)
    with pytest.raises(asyncpg.PostgresError):  # each database is closed to the other's roles
        await _as(with_login(b, "tocsin_a_ingestion", "one-ingestion"), "SELECT 1")


async def test_what_would_be_migrated_is_known_before(owner: str) -> None:
    dsn = at_database(owner, "looked at")

    async def pending() -> dict[str, list[str]]:
        return await pending_migrations(dsn, read_dsn(dsn, "DSN"), schemas(dsn, "one"))

    before = await pending()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(dsn)
    assert before == await prepare(dsn, "one")
    assert not any((await pending()).values())
    await _as(dsn, "DROP SCHEMA media_probe CASCADE")
    assert await pending() == {**{service: [] for service in SERVICES}, "media_probe": before["media_probe"]}


async def test_a_second_host_with_other_secrets_changes_no_password(owner: str) -> None:
    dsn = at_database(owner, "tocsin")
    await prepare(dsn, "first host")
    with pytest.raises(RuntimeProblem) as refused:
        await prepare(dsn, "second host")
    assert "tocsin_ingestion" in refused.value.message
    assert "secrets.json" in refused.value.message
    assert "second host" not in refused.value.message
    await login_all(dsn, "first host")
    await prepare(dsn, "first host")  # the second host with the first one's secrets
    await prepare(dsn, "second host", reset_passwords=True)
    await login_all(dsn, "second host")


async def test_two_hosts_may_prepare_one_new_database_at_once(owner: str) -> None:
    dsn = at_database(owner, "tocsin")
    await asyncio.gather(*(prepare(dsn, "same") for _ in range(3)))
    await login_all(dsn, "same")


@pytest.mark.parametrize("revoke", [False, True])
async def test_other_users_of_an_existing_database_keep_their_rights_unless_asked(
    server: PostgresServer, owner: str, revoke: bool
) -> None:
    await _as(owner, "CREATE DATABASE shared")
    await _as(server.dsn(), "CREATE ROLE other_app LOGIN PASSWORD 'other'")
    dsn, other = at_database(owner, "shared"), with_login(at_database(owner, "shared"), "other_app", "other")
    await _as(dsn, "COMMENT ON DATABASE shared IS 'Ask Ann'")
    await prepare(dsn, "one", revoke_public=revoke)
    await login_all(dsn, "one")
    assert await _as(dsn, COMMENT) == "Ask Ann"
    if revoke:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _as(other, "SELECT 1")
    else:
        assert await _as(other, "SELECT 1") == 1


async def test_roles_and_schemas_of_somebody_else_are_left_alone(server: PostgresServer, owner: str) -> None:
    await _as(owner, "CREATE DATABASE shop")
    await _as(owner, "CREATE ROLE shop_ingestion LOGIN PASSWORD 'theirs'")
    dsn = at_database(owner, "shop")
    with pytest.raises(RuntimeProblem, match=r"role shop_ingestion that Tocsin did not make.*ROLE_PREFIX"):
        await prepare(dsn, "ours")
    assert await _as(with_login(dsn, "shop_ingestion", "theirs"), "SELECT 1") == 1
    await prepare(dsn, "ours", prefix="bell")
    await login_all(dsn, "ours", prefix="bell")

    await _as(owner, "CREATE DATABASE other")
    await _as(at_database(server.dsn(), "other"), "CREATE SCHEMA notification")
    with pytest.raises(RuntimeProblem, match=r"schema notification of database other.* belongs to"):
        await prepare(at_database(owner, "other"), "ours")


@pytest.mark.parametrize("databases", [("tocsin",), ("tocsin_a", "tocsin_b")])
async def test_installations_of_earlier_versions_go_on(owner: str, databases: tuple[str, ...]) -> None:
    """They had one role for each service of the server, whatever the database."""
    for service in SERVICES:
        await _as(owner, f"CREATE ROLE tocsin_{service} LOGIN PASSWORD 'earlier-{service}'")
        await _as(owner, f"GRANT tocsin_{service} TO CURRENT_USER")
    for name in databases:
        await _as(owner, f"CREATE DATABASE {name}")
        dsn = at_database(owner, name)
        for service in SERVICES:
            await _as(dsn, f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO tocsin_{service}")
            await _as(dsn, f"CREATE SCHEMA {service} AUTHORIZATION tocsin_{service}")
        role = with_login(dsn, "tocsin_ingestion", "earlier-ingestion")
        await _as(role, "CREATE TABLE ingestion.kept AS SELECT 42 AS answer")
        await _as(dsn, f"COMMENT ON DATABASE {name} IS 'prepared {'0' * 64}'")
    for number, name in enumerate(databases):
        dsn = at_database(owner, name)
        password = "earlier" if name == "tocsin" else f"new {number}"
        await prepare(dsn, password)
        await login_all(dsn, password)
        role = with_login(dsn, role_name(name, "ingestion"), f"{password}-ingestion")
        assert await _as(role, "SELECT answer FROM ingestion.kept") == 42
        assert await _as(dsn, COMMENT) is None
        left = await _as(owner, "SELECT count(*) FROM pg_roles WHERE rolname = 'tocsin_ingestion'")
        assert left == (1 if name == "tocsin" or number + 1 < len(databases) else 0)


async def test_what_is_wrong_with_a_server_is_said_in_words(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def said(dsn: str) -> str:
        with pytest.raises(RuntimeProblem) as refused:
            await prepare(dsn, "one")
        assert OWNER_PASSWORD not in refused.value.message
        assert "p%40ss" not in refused.value.message
        return refused.value.message

    dsn = at_database(owner, "tocsin")
    assert f"does not let role {OWNER} in" in await said(with_login(dsn, OWNER, "guess"))
    assert "nothing listens on 127.0.0.1:1" in await said("postgresql://a:b@127.0.0.1:1/tocsin")
    assert "no-such-host.invalid:5432 is not known" in await said("postgresql://a:b@no-such-host.invalid/tocsin")
    await _as(owner, "CREATE ROLE plain LOGIN PASSWORD 'plain'")
    assert "may not create one" in await said(with_login(dsn, "plain", "plain"))
    await _as(owner, "CREATE DATABASE tocsin")
    assert "it needs CREATEROLE" in await said(with_login(dsn, "plain", "plain"))
    monkeypatch.setattr(postgres_server, "MINIMUM_VERSION", 99)
    assert "is too old; Tocsin needs 99 or newer" in await said(dsn)


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:p@host:5432", "must name the database"),
        ("postgresql://u:p@host:5432/", "must name the database"),
        ("postgresql://u:p@ss@host/db", "percent-encode"),
        ("postgresql://u:p/ss@host/db", "percent-encode"),
        ("postgresql://u:p#ss@host/db", "percent-encode"),
        ("postgresql://u:p@host:port/db", "percent-encode"),
        ("host=db user=u", "must be like postgresql://"),
    ],
)
def test_a_dsn_that_cannot_be_read_is_refused_without_its_text(dsn: str, said: str) -> None:
    with pytest.raises(ConfigurationProblem) as refused:
        read_dsn(dsn, "TOCSIN_POSTGRES_DSN")
    assert said in refused.value.message
    assert "TOCSIN_POSTGRES_DSN" in refused.value.message
    assert "ss@" not in refused.value.message


def test_names_of_roles_fit_and_differ() -> None:
    names = {role_name("d" * 60 + end, service) for end in ("1", "2") for service in SERVICES}
    assert len(names) == 2 * len(SERVICES)
    assert all(len(name) <= 63 for name in names)
    assert role_name("tocsin", "media_probe") == "tocsin_media_probe"


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_pgbouncer_works_in_session_mode_and_is_refused_in_the_others(
    server: PostgresServer, owner: str, tmp_path: Path, mode: str
) -> None:
    port = free_port()
    await _as(owner, "CREATE DATABASE tocsin")  # PgBouncer does not tell of one that is missing
    process = _pgbouncer(tmp_path, server, port, mode)
    try:
        address = at_database(owner, "tocsin").replace(f":{server.port}/", f":{port}/")
        if mode == "session":
            await prepare(address, "one")
            await login_all(address, "one")
        else:
            with pytest.raises(RuntimeProblem, match="set pool_mode = session"):
                await prepare(address, "one")
            assert await _as(owner, "SELECT count(*) FROM pg_roles WHERE rolname = 'tocsin_ingestion'") == 0
    finally:
        process.terminate()
        process.wait(timeout=10)


def _pgbouncer(directory: Path, server: PostgresServer, port: int, mode: str) -> "subprocess.Popen[bytes]":
    config = directory / "pgbouncer.ini"
    superuser = read_dsn(server.dsn(), "DSN").user
    (directory / "users.txt").write_text(f'"{superuser}" "tests-only"\n')
    config.write_text(
        f"""
        [databases]
        * = host=127.0.0.1 port={server.port}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = scram-sha-256
        auth_file = {directory / "users.txt"}
        auth_user = {superuser}
        auth_query = SELECT usename, passwd FROM pg_shadow WHERE usename = $1
        pool_mode = {mode}
        """
    )
    directory.chmod(0o755)
    for parent in directory.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    identity = {"user": "nobody"} if Path("/proc/self").stat().st_uid == 0 else {}
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed")
    process = subprocess.Popen([program, str(config)], stderr=subprocess.DEVNULL, **identity)
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            assert process.poll() is None, "PgBouncer does not start"
            assert time.monotonic() < deadline, "PgBouncer does not listen"
            time.sleep(0.05)
