"""Prepares the database: one role and one schema per service, then each service's migrations.

Cheap when there is nothing to do: a mark in the database tells what it was prepared for.
"""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
from pogo_core.error import BadMigrationError

from services.chassis.errors import DomainError
from services.chassis.postgres.migrations import migrate
from services.cli.runtime.errors import RuntimeProblem

DATABASE = "tocsin"
_LOGIN_BUDGET_SECONDS = 30.0

_SERVER_SCRIPT = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
"""
# The role owns its schema and nothing else; temporary tables are where bulk loads land first.
_SERVICE_SCRIPT = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
END $$;
ALTER ROLE {role} LOGIN PASSWORD '{password}';
GRANT {role} TO CURRENT_USER WITH SET TRUE;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};
CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role};
ALTER ROLE {role} IN DATABASE {database} SET search_path = {schema};
"""


@dataclass(frozen=True, slots=True)
class ServiceSchema:
    """A service's place in the database. `password` has no quotes (they are made by us)."""

    service: str
    password: str
    migrations: Path | None
    makes_schemas: bool = False
    """The service keeps each tenant in a schema of its own, which it makes as tenants come."""

    @property
    def role(self) -> str:
        """The role that the service logs in as."""
        return f"tocsin_{self.service}"


def with_login(dsn: str, role: str, password: str, database: str | None = None) -> str:
    """`dsn` with another role and password and, where given, another database."""
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    path = parts.path if database is None else f"/{database}"
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{quote(password)}@{address}", path=path))


async def prepare_database(admin_dsn: str, schemas: tuple[ServiceSchema, ...]) -> dict[str, list[str]]:
    """Creates what is missing and migrates; returns the migrations applied by service.

    `admin_dsn` names the database that all schemas live in and a role that may create roles. Raises RuntimeProblem.
    """
    try:
        await _ensure_database(admin_dsn)
        await _ensure_roles(admin_dsn, schemas)
        applied = await asyncio.gather(
            *(
                migrate(with_login(admin_dsn, schema.role, schema.password), schema.service, schema.migrations)
                for schema in schemas
            )
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DomainError, BadMigrationError) as error:
        raise RuntimeProblem(f"the database cannot be prepared: {error}") from error
    return dict(zip((schema.service for schema in schemas), applied, strict=True))


async def _ensure_database(admin_dsn: str) -> None:
    name = urlsplit(admin_dsn).path.lstrip("/")
    try:
        connection = await asyncpg.connect(admin_dsn, timeout=_LOGIN_BUDGET_SECONDS)
    except asyncpg.InvalidCatalogNameError:
        parts = urlsplit(admin_dsn)._replace(path="/postgres")
        connection = await asyncpg.connect(urlunsplit(parts), timeout=_LOGIN_BUDGET_SECONDS)
        try:
            await connection.execute(f"CREATE DATABASE {_identifier(name)}")
        finally:
            await connection.close()
    else:
        await connection.close()


async def _ensure_roles(admin_dsn: str, schemas: tuple[ServiceSchema, ...]) -> None:
    name = urlsplit(admin_dsn).path.lstrip("/")
    script = _script(name, schemas)
    mark = f"prepared {hashlib.sha256(script.encode()).hexdigest()}"
    connection = await asyncpg.connect(admin_dsn, timeout=_LOGIN_BUDGET_SECONDS)
    try:
        found = await connection.fetchval(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        )
        if found == mark:
            return
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(f"COMMENT ON DATABASE {_identifier(name)} IS '{mark}'")
    finally:
        await connection.close()


def _script(database: str, schemas: tuple[ServiceSchema, ...]) -> str:
    values: Mapping[str, str] = {"database": _identifier(database)}
    pieces = [_SERVER_SCRIPT.format_map(values)]
    for schema in schemas:
        assert "'" not in schema.password
        own = {**values, "role": schema.role, "schema": _identifier(schema.service), "password": schema.password}
        pieces.append(_SERVICE_SCRIPT.format_map(own))
        verb, preposition = ("GRANT", "TO") if schema.makes_schemas else ("REVOKE", "FROM")
        pieces.append(f"{verb} CREATE ON DATABASE {_identifier(database)} {preposition} {schema.role};\n")
    return "".join(pieces)


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
