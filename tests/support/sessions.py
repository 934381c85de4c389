"""What a pooled session of PostgreSQL must not keep when it is given back, because nothing resets it."""

from contextlib import AsyncExitStack

from services.chassis.errors import Unavailable
from services.chassis.postgres import Database

_KEPT = """
    SELECT 'the setting ' || s.name FROM pg_settings s
        LEFT JOIN unnest($2::text[], $3::text[]) AS own (name, value) ON own.name = lower(s.name)
        WHERE source = 'session' AND setting IS DISTINCT FROM coalesce(own.value, reset_val)
    UNION ALL SELECT 'the channel ' || channel FROM pg_listening_channels() AS channel
    UNION ALL SELECT 'an advisory lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
    UNION ALL SELECT 'the temporary relation ' || relname FROM pg_class
        WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' AND relname <> ALL ($1::text[])
    UNION ALL SELECT 'the cursor ' || name FROM pg_cursors WHERE is_holdable
    UNION ALL SELECT 'the prepared statement ' || name FROM pg_prepared_statements WHERE from_sql
"""


EMPTIED = ("debt_chunk", "debt_reject_chunk")
"""Temporary tables that stay, and that every commit empties."""


async def kept(database: Database) -> list[str]:
    """What the idle sessions of the pool have kept; of a server that is away, nothing is known."""
    found: list[str] = []
    own = list(database.settings), list(database.settings.values())
    try:
        # All of them at once: the pool hands the same one out again and again.
        async with AsyncExitStack() as borrowed:
            for _ in range(database.idle_sessions):
                connection = await borrowed.enter_async_context(database.connection())
                found += [row[0] for row in await connection.fetch(_KEPT, EMPTIED, *own)]
    except Unavailable:
        return []
    return found
