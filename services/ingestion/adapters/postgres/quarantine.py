"""The quarantine of payloads in PostgreSQL, bounded."""

from collections.abc import Sequence

import asyncpg

from services.chassis.postgres import Connection, Database
from services.ingestion.application.ports import Quarantined
from services.ingestion.domain.errors import ResourceNotFound

_COLUMNS = "id, format, payload, reason, field, create_time"
_TRIM_EVERY = 50


class PostgresQuarantine:
    """Payloads that nobody understood (the port `Quarantine`); about the `limit` newest are kept."""

    def __init__(self, database: Database, *, limit: int = 5000) -> None:
        self._database = database
        self._limit = limit
        self._untrimmed = 0
        self._keeping = database.group_commit("quarantine", self._keep, one_statement=True)

    async def keep(self, payload: Quarantined) -> None:
        """Stores it, once under its id; now and then the oldest beyond the bound go."""
        await self._keeping.submit(payload)

    async def _keep(self, connection: Connection, payloads: Sequence[Quarantined]) -> list[None]:
        await connection.execute(
            f"""
            INSERT INTO quarantined_payloads ({_COLUMNS})
            SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::timestamptz[])
            ON CONFLICT (id) DO NOTHING
            """,
            [one.id for one in payloads],
            [one.format for one in payloads],
            [one.payload for one in payloads],
            [one.reason for one in payloads],
            [one.field for one in payloads],
            [one.create_time for one in payloads],
        )
        self._untrimmed += len(payloads)
        if self._untrimmed >= min(_TRIM_EVERY, self._limit):
            self._untrimmed = 0
            await connection.execute(
                """
                DELETE FROM quarantined_payloads
                WHERE id <= (SELECT id FROM quarantined_payloads ORDER BY id DESC OFFSET $1 LIMIT 1)
                """,
                self._limit,
            )
        return [None] * len(payloads)

    async def get(self, name: str) -> Quarantined:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM quarantined_payloads WHERE id = $1", name)
        if row is None:
            raise ResourceNotFound("quarantined payload", name)
        return _quarantined(row)

    async def list(self, name: str, before: str | None, limit: int) -> list[Quarantined]:
        """Newest first (ids grow with time)."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"""
                SELECT {_COLUMNS} FROM quarantined_payloads
                WHERE ($1 = '' OR format = $1) AND ($2::text IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
                """,
                name,
                before,
                limit,
            )
        return [_quarantined(row) for row in rows]

    async def remove(self, name: str) -> None:
        """Nothing happens when it is gone already."""
        async with self._database.connection() as connection:
            await connection.execute("DELETE FROM quarantined_payloads WHERE id = $1", name)


def _quarantined(row: asyncpg.Record) -> Quarantined:
    return Quarantined(row["id"], row["format"], row["payload"], row["reason"], row["field"], row["create_time"])
