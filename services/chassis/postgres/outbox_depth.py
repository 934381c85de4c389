"""Tells how much waits in an outbox, as metrics: one bounded question now and then, by whoever relays."""

import asyncio
from datetime import timedelta

import asyncpg

from services.chassis.postgres import metrics

MEASURE_EVERY = timedelta(seconds=15)
_MAX_ROWS = 10_000


class OutboxDepth:
    """Keeps `tocsin_outbox_waiting_rows` and `tocsin_outbox_oldest_seconds` of a schema."""

    def __init__(self, schema: str, every: timedelta = MEASURE_EVERY) -> None:
        self._rows = metrics.WAITING.labels(schema=schema)
        self._oldest = metrics.OLDEST.labels(schema=schema)
        self._every = every.total_seconds()
        self._due = 0.0

    async def measure(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Asks, where it is time to. Raises errors of asyncpg."""
        now = asyncio.get_running_loop().time()
        if now < self._due:
            return
        self._due = now + self._every
        found = await connection.fetchrow(
            """
            SELECT count(*) AS rows,
                coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS oldest
            FROM (SELECT created_at FROM outbox ORDER BY id LIMIT $1) AS head
            """,
            _MAX_ROWS,
        )
        assert found is not None, "an aggregate has a row"
        self._rows.set(found["rows"])
        self._oldest.set(found["oldest"])

    def end(self) -> None:
        """Tells nothing more: another process may relay from now on."""
        self._rows.set(0)
        self._oldest.set(0)
        self._due = 0.0
