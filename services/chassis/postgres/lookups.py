"""Rows by their key: whoever looks for one at the same time shares a statement."""

from collections.abc import Sequence
from typing import TypeAlias

import asyncpg

from services.chassis.group_commit import GroupCommit
from services.chassis.postgres.pool import Connection, Database

Key: TypeAlias = tuple[str, ...]
Lookup: TypeAlias = GroupCommit[Key, asyncpg.Record | None]
"""`submit` takes a key and gives its row, or None; it sees whatever was committed before."""


def lookup(database: Database, name: str, query: str, *columns: str) -> Lookup:
    """Looks rows up by the key in `columns`. The parameters of `query` are an array of each of them, side by side; its
    rows have them, and no two rows have the same key."""

    async def find(connection: Connection, keys: Sequence[Key]) -> Sequence[asyncpg.Record | None]:
        wanted = zip(*dict.fromkeys(keys), strict=True)
        rows = await connection.fetch(query, *map(list, wanted))
        found = {tuple(row[column] for column in columns): row for row in rows}
        return [found.get(key) for key in keys]

    return database.group_commit(name, find, one_statement=True)
