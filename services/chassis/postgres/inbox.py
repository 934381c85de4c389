"""The inbox: remembers which messages a consumer has had its effect for.

The mark is written in the same transaction as the effect, so either both stand or neither. Its unique key is what
makes a redelivered message harmless; two deliveries at once wait for each other on it. Marks are kept longer than any
stream keeps its messages and are then pruned in bounded steps.
"""

from collections.abc import Sequence
from datetime import timedelta

from services.chassis.postgres.pool import Connection

RETENTION = timedelta(days=8)
"""Longer than the longest retention of a stream whose messages are consumed (7 days)."""


async def first_time(connection: Connection, consumer: str, message_id: str) -> bool:
    """Marks the message as seen by the consumer; False when it had been marked before.

    Must run inside the transaction of the effect.
    """
    row = await connection.fetchrow(
        "INSERT INTO inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1",
        consumer,
        message_id,
    )
    return row is not None


async def first_time_many(connection: Connection, consumer: str, message_ids: Sequence[str]) -> set[str]:
    """Marks all the messages and returns the ids of those that had not been marked before."""
    rows = await connection.fetch(
        """
        INSERT INTO inbox (consumer, message_id) SELECT $1, id FROM unnest($2::text[]) AS id
        ORDER BY id ON CONFLICT DO NOTHING RETURNING message_id
        """,
        consumer,
        message_ids,
    )
    return {row["message_id"] for row in rows}


async def prune(connection: Connection, *, older_than: timedelta = RETENTION, limit: int = 5000) -> int:
    """Deletes at most `limit` marks older than `older_than` and returns how many it deleted."""
    return await connection.fetchval(
        """
        WITH old AS (
            SELECT consumer, message_id FROM inbox WHERE seen_at < now() - $1::interval
            ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ), gone AS (
            DELETE FROM inbox USING old
            WHERE inbox.consumer = old.consumer AND inbox.message_id = old.message_id RETURNING 1
        )
        SELECT count(*) FROM gone
        """,
        older_than,
        limit,
    )
