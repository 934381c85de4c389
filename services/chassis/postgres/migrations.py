"""Brings one schema up to date with the SQL files of a service.

Files are in the format of pogo-migrate (`-- depends:`, `-- migrate: apply`, `-- migrate: rollback`) and are
read, ordered and applied by its core. The ledger of what has been applied lives inside the service's own
schema (pogo's is in `public`): a service's role needs no right outside its schema, and services that migrate
at the same time never meet. The chassis' own tables (inbox, outbox) come first, from `services/chassis/migrations`.
"""

import hashlib
from pathlib import Path

import asyncpg
from pogo_core.migration import Migration, topological_sort

from services.chassis.errors import FailedPrecondition
from services.chassis.postgres.errors import translated
from services.chassis.postgres.pool import open_session
from services.chassis.version import tocsin_version

CHASSIS_MIGRATIONS = Path(__file__).parent.parent / "migrations"


class NewerDatabase(FailedPrecondition):
    """A later version of Tocsin has migrated the database. There is no way down but a backup."""

    def __init__(self, schema: str, unknown: list[str]) -> None:
        super().__init__(
            f"the database is newer than this version of Tocsin ({tocsin_version()}): schema {schema} has "
            f"{', '.join(unknown)}; use the version that the database was last used with, or a backup from before it"
        )


async def migrate(dsn: str, schema: str, directory: Path | None, *, chassis: bool = True) -> list[str]:
    """Applies what is missing and returns the ids applied, in order (empty when up to date).

    Creates the schema when it is missing. Without `chassis` only the files of `directory` are applied (further schemas
    of a service, which need no inbox and outbox of their own). Only one caller at a time works on a schema; others
    wait. Each file is one transaction (unless it says `-- transaction: false`). Raises, before anything
    is touched, `NewerDatabase` when migrations have been applied that this version does not have, and
    `FailedPrecondition` when one was changed after it was applied.
    """
    files = _files(directory, chassis=chassis)
    checksums = _checksums(files)
    with translated():
        connection = await open_session(dsn, {"search_path": f'"{schema}"'}, timeout=60, command_timeout=None)
        try:
            if await _applied(connection, schema) == checksums:
                return []
            await connection.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", f"tocsin:migrate:{schema}")
            return await _migrate_locked(connection, schema, files, checksums)
        finally:
            await connection.close()


def known_migrations(directory: Path | None) -> list[str]:
    """The ids of all that `migrate` applies to a new schema, in order."""
    return _ordered(_files(directory, chassis=True), applied=set())


async def pending(connection: "asyncpg.Connection[asyncpg.Record]", schema: str, directory: Path | None) -> list[str]:
    """The ids that `migrate` would apply, in order; raises as it does."""
    files = _files(directory, chassis=True)
    applied = await _applied(connection, schema)
    _check_applied(schema, applied, _checksums(files))
    return _ordered(files, applied=set(applied))


def _files(directory: Path | None, *, chassis: bool) -> dict[str, Path]:
    directories = ([CHASSIS_MIGRATIONS] if chassis else []) + ([directory] if directory is not None else [])
    return {path.stem: path for folder in directories for path in sorted(folder.glob("*.sql"))}


def _checksums(files: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def _check_applied(schema: str, applied: dict[str, str], checksums: dict[str, str]) -> None:
    if unknown := [name for name in applied if name not in checksums]:
        raise NewerDatabase(schema, unknown)
    for name, checksum in applied.items():
        if checksums[name] != checksum:
            raise FailedPrecondition(
                f"migration {name} of schema {schema} is not the one that was applied to the database; "
                "its file must be as it was released"
            )


def _ordered(files: dict[str, Path], applied: set[str]) -> list[str]:
    loaded = [Migration(name, path, applied).load() for name, path in files.items()]
    return [migration.id for migration in topological_sort(loaded) if migration.id not in applied]


async def _migrate_locked(
    connection: "asyncpg.Connection[asyncpg.Record]", schema: str, files: dict[str, Path], checksums: dict[str, str]
) -> list[str]:
    if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", f'"{schema}"'):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    await connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS "{schema}".schema_migrations (
            id text PRIMARY KEY,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    applied = await _applied(connection, schema)
    _check_applied(schema, applied, checksums)
    done: list[str] = []
    loaded = [Migration(name, path, set(applied)) for name, path in files.items()]
    for migration in topological_sort([migration.load() for migration in loaded]):
        if migration.id in applied:
            continue
        if migration.use_transaction:
            async with connection.transaction():
                await _apply(connection, schema, migration, checksums[migration.id])
        else:
            await _apply(connection, schema, migration, checksums[migration.id])
        done.append(migration.id)
    return done


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]", schema: str, migration: Migration, checksum: str
) -> None:
    await migration.apply(connection)
    await connection.execute(
        f'INSERT INTO "{schema}".schema_migrations (id, checksum) VALUES ($1, $2)', migration.id, checksum
    )


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]", schema: str) -> dict[str, str]:
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f'"{schema}".schema_migrations'):
        return {}
    rows = await connection.fetch(f'SELECT id, checksum FROM "{schema}".schema_migrations ORDER BY id')
    return {row["id"]: row["checksum"] for row in rows}
