"""Idempotency keys in PostgreSQL."""

import time
from datetime import timedelta

from services.chassis.postgres import Database
from services.ingestion.application.ports import Claim
from services.ingestion.domain.errors import IdempotencyConflict

_MICROSECOND = timedelta(microseconds=1)
_PRUNED_AT_ONCE = 5000


class PostgresIdempotencyKeys:
    """Keys and what they stood for (the port `IdempotencyKeys`). A key is free again after `lifetime`."""

    def __init__(self, database: Database, lifetime: timedelta = timedelta(hours=24)) -> None:
        self._database = database
        self._lifetime_us = lifetime // _MICROSECOND

    async def claim(self, scope: str, key: str, content: bytes, now_us: int) -> Claim:
        """Records the key before its effect. Raises IdempotencyConflict."""
        async with self._database.transaction() as connection:
            made = await connection.fetchval(
                """
                INSERT INTO idempotency_keys AS old (scope, key, content, received_us) VALUES ($1, $2, $3, $4)
                ON CONFLICT (scope, key) DO UPDATE SET content = $3, received_us = $4, done = false
                WHERE old.received_us < $5
                RETURNING true
                """,
                scope,
                key,
                content,
                now_us,
                now_us - self._lifetime_us,
            )
            if made:
                return Claim(now_us, first=True, done=False)
            row = await connection.fetchrow(
                "SELECT content, received_us, done FROM idempotency_keys WHERE scope = $1 AND key = $2", scope, key
            )
        if row is None or row["content"] != content:
            raise IdempotencyConflict(key)
        return Claim(row["received_us"], first=False, done=row["done"])

    async def finish(self, scope: str, key: str) -> None:
        """Records that the effect is durable."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE idempotency_keys SET done = true WHERE scope = $1 AND key = $2", scope, key
            )

    async def prune(self) -> int:
        """Forgets keys past their lifetime, in bounded steps; returns how many."""
        oldest = time.time_ns() // 1000 - self._lifetime_us
        gone = 0
        while True:
            async with self._database.connection() as connection:
                count: int = await connection.fetchval(
                    """
                    WITH gone AS (
                        DELETE FROM idempotency_keys WHERE (scope, key) IN (
                            SELECT scope, key FROM idempotency_keys WHERE received_us < $1
                            ORDER BY received_us LIMIT $2 FOR UPDATE SKIP LOCKED
                        ) RETURNING 1
                    )
                    SELECT count(*) FROM gone
                    """,
                    oldest,
                    _PRUNED_AT_ONCE,
                )
            gone += count
            if count < _PRUNED_AT_ONCE:
                return gone
