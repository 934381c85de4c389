"""Makes a database that a test has used as good as new."""

from dataclasses import dataclass, field
from typing import Final

import asyncpg

_KEPT: Final = "_kept"
"""The schema with the rows that the migrations have written."""

_SHAPE: Final = """
    SELECT md5(coalesce(string_agg(line, chr(10) ORDER BY line), '')) FROM (
        SELECT concat_ws(' ', n.nspname, n.nspacl, c.relname, c.relkind, c.relacl, a.attname, a.atttypid, a.attnotnull,
                         a.attstorage) AS line
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
        UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint
        UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger
        UNION ALL SELECT concat_ws(' ', 'function', oid::regprocedure, md5(prosrc)) FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT concat_ws(' ', 'setting', setrole, setconfig) FROM pg_db_role_setting
        UNION ALL SELECT concat_ws(' ', 'limits', datallowconn, datconnlimit, datacl)
        FROM pg_database WHERE datname = current_database()
    ) AS lines
    """
"""Everything but rows that a test could change. Names of internal triggers hold oids, which a copy keeps."""

_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '_kept')
      AND pg_relation_size(c.oid) > 0
    """


@dataclass(frozen=True, slots=True)
class Shape:
    """What a fresh database looks like. `rows`: tables that are not empty, with the tables that keep their rows.
    `sequences`: with their values, and whether these have been given out."""

    digest: str
    rows: dict[str, str]
    sequences: dict[str, tuple[int, bool]]


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated database to copy, and its copies that wait for another test."""

    name: str
    shape: Shape
    free: list[str] = field(default_factory=list[str])


async def remembered(dsn: str) -> Shape:
    """Keeps the rows of a database beside them, so that its copies have them too, and returns its shape."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE SCHEMA {_KEPT}")
        rows: dict[str, str] = {}
        for (table,) in await connection.fetch(_TABLES):
            rows[table] = f"{_KEPT}.rows_{len(rows)}"
            await connection.execute(f"CREATE TABLE {rows[table]} AS TABLE {table}")
        return Shape(await connection.fetchval(_SHAPE), rows, await _sequences(connection))
    finally:
        await connection.close()


async def emptied(dsn: str, shape: Shape) -> bool:
    """Ends all sessions and puts the rows back that were there at first; False when more than rows has changed."""
    try:
        connection = await asyncpg.connect(dsn)
    except (OSError, asyncpg.PostgresError):
        return False
    try:
        await connection.execute(
            """
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
        if await connection.fetchval(_SHAPE) != shape.digest:
            return False
        async with connection.transaction():
            # Rows go back in any order: no key is checked, no trigger fires.
            await connection.execute("SET LOCAL session_replication_role = replica")
            used = {*shape.rows, *(row[0] for row in await connection.fetch(_TABLES))}
            if used:
                await connection.execute(f"TRUNCATE {', '.join(used)} CASCADE")
            for table, kept in shape.rows.items():
                await connection.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {kept}")
            for name, (value, given) in shape.sequences.items():
                await connection.execute("SELECT setval($1::text::regclass, $2, $3)", name, value, given)
        return True
    finally:
        await connection.close()


async def _sequences(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, tuple[int, bool]]:
    names = await connection.fetch("SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences")
    found: dict[str, tuple[int, bool]] = {}
    for (name,) in names:
        row = await connection.fetchrow(f"SELECT last_value, is_called FROM {name}")
        assert row is not None
        found[name] = (row["last_value"], row["is_called"])
    return found
