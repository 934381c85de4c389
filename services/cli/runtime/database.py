"""Prepares the database: one role and one schema per service, then each service's migrations.

In a database that was there before Tocsin, nothing but Tocsin's own roles and schemas is touched.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from pogo_core.error import BadMigrationError

from services.chassis.errors import DomainError
from services.chassis.postgres.migrations import known_migrations, migrate, pending
from services.cli.runtime.database_roles import ONE_AT_A_TIME, RolePreparation, ServiceSchema, quoted
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.postgres_address import PostgresAddress, at_database, with_login
from services.cli.runtime.postgres_server import Connection, check_server, in_words, session

DATABASE = "tocsin"
_OPEN_TO_ALL = """
SELECT has_database_privilege('public', current_database(), 'CONNECT')
    OR coalesce(has_schema_privilege('public', to_regnamespace('public'), 'USAGE'), false)
"""
_COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseOptions:
    """What may be done to the database. `own_server`: nobody else uses the server (it is the runtime's)."""

    own_server: bool = False
    revoke_public: bool = False
    """Whether others lose their rights in a database that was there before Tocsin."""
    reset_passwords: bool = False
    """Whether passwords that this mesh does not know are set anew, to the harm of whoever knows them."""
    secrets_file: Path = Path("secrets.json")


async def prepare_database(
    dsn: str, address: PostgresAddress, schemas: tuple[ServiceSchema, ...], options: DatabaseOptions
) -> dict[str, list[str]]:
    """Creates what is missing and migrates; returns the migrations applied by service.

    `dsn` names the database that all schemas live in and a role that may create roles. Raises RuntimeProblem.
    """
    try:
        created = await _ensure_database(dsn, address, options)
        await check_server(dsn, address)
        async with session(dsn) as connection:
            async with connection.transaction():
                # Another host may prepare the same database at this moment.
                await connection.execute(ONE_AT_A_TIME)
                await _settle_with_others(connection, close=created or options.own_server or options.revoke_public)
            reset = options.own_server or options.reset_passwords
            await RolePreparation(dsn, address, reset, options.secrets_file).ensure(connection, schemas)
        applied = await asyncio.gather(
            *(
                migrate(with_login(dsn, schema.role, schema.password), schema.service, schema.migrations)
                for schema in schemas
            )
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DomainError, BadMigrationError) as error:
        raise RuntimeProblem(f"the database cannot be prepared: {in_words(error, address)}") from error
    return dict(zip((schema.service for schema in schemas), applied, strict=True))


async def pending_migrations(
    dsn: str, address: PostgresAddress, schemas: tuple[ServiceSchema, ...]
) -> dict[str, list[str]]:
    """The migrations that `prepare_database` would apply, by service; changes nothing. Raises RuntimeProblem."""
    found: dict[str, list[str]] = {}
    try:
        async with session(dsn) as connection:
            for schema in schemas:
                async with connection.transaction():
                    # As its role, whose schema nobody else may read.
                    if await connection.fetchval(
                        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", schema.role
                    ):
                        await connection.execute(f"SET LOCAL ROLE {quoted(schema.role)}")
                    found[schema.service] = await pending(connection, schema.service, schema.migrations)
    except asyncpg.InvalidCatalogNameError:
        return {schema.service: known_migrations(schema.migrations) for schema in schemas}
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DomainError, BadMigrationError) as error:
        raise RuntimeProblem(f"the database cannot be looked at: {in_words(error, address)}") from error
    return found


async def _ensure_database(dsn: str, address: PostgresAddress, options: DatabaseOptions) -> bool:
    """Whether the database had to be created."""
    if not options.own_server:  # of our own server we know another to ask: it need not log that this one is missing
        try:
            async with session(dsn):
                return False
        except asyncpg.InvalidCatalogNameError:
            pass
    async with session(at_database(dsn, "postgres")) as connection:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", address.database):
            return False
        try:
            await connection.execute(f"CREATE DATABASE {quoted(address.database)}")
        except asyncpg.InsufficientPrivilegeError as error:
            raise RuntimeProblem(
                f"there is no database {address.database} on {address.server}, and role {address.user} may not "
                "create one"
            ) from error
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            return False  # by another host, at the same moment
    return True


async def _settle_with_others(connection: Connection, *, close: bool) -> None:
    """Closes the database to others where it is Tocsin's alone, and takes back an earlier version's comment."""
    name = quoted(await connection.fetchval("SELECT current_database()"))
    if close and await connection.fetchval(_OPEN_TO_ALL):
        await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC")
    if re.fullmatch(r"prepared [0-9a-f]{64}", await connection.fetchval(_COMMENT) or ""):
        await connection.execute(f"COMMENT ON DATABASE {name} IS NULL")
