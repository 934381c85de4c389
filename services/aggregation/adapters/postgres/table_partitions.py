"""Partitions of the time-partitioned tables: made when the first row needs them, dropped when their retention is
over."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from services.aggregation.domain.times import DAY, HOUR, MINUTE
from services.chassis.postgres import Connection, Database

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

RAW: Final = "segments"
_RAW_PERIOD: Final = DAY


def window_table(step: int) -> str:
    """The table of the windows of one step."""
    return f"windows_{step // 1_000_000}s"


def window_partition_length(step: int) -> int:
    """How much time one partition of a step's windows spans."""
    if step <= MINUTE:
        return DAY
    return 30 * DAY if step <= HOUR else 360 * DAY


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long rows are kept, by event time."""

    raw: timedelta = timedelta(days=90)
    fine_windows: timedelta = timedelta(days=90)
    """Windows shorter than 15 minutes."""
    windows: timedelta = timedelta(days=5 * 365)


class TablePartitions:
    """Keeps track of the partitions that exist."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[tuple[str, int]] = set()

    async def ensure_raw(self, periods: Iterable[int]) -> None:
        """Makes the partitions of raw readings for these days (numbers since the epoch)."""
        await self._ensure(RAW, _RAW_PERIOD, periods)

    async def ensure_windows(self, step: int, periods: Iterable[int]) -> None:
        """Makes the partitions of the windows of one step for these periods (numbers since the epoch)."""
        await self._ensure(window_table(step), window_partition_length(step), periods)

    async def ensure_steps(self, steps: Iterable[int]) -> None:
        """Makes the tables of all steps."""
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tocsin:aggregation:periods', 0))")
            for step in steps:
                await connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {window_table(step)} PARTITION OF windows FOR VALUES IN ({step}) "
                    "PARTITION BY RANGE (start_us)"
                )

    async def _ensure(self, table: str, length: int, periods: Iterable[int]) -> None:
        missing = sorted({period for period in periods if (table, period) not in self._known})
        if not missing:
            return
        async with self._database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('tocsin:aggregation:periods', 0))")
            for period in missing:
                await self._make(connection, table, length, period)
        self._known.update((table, period) for period in missing)

    @staticmethod
    async def _make(connection: Connection, table: str, length: int, period: int) -> None:
        name = f"{table}_{period}" if period >= 0 else f"{table}_m{-period}"
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
            return
        # Made beside the table and attached: unlike CREATE ... PARTITION OF this lets others read and write meanwhile.
        await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)")
        await connection.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ({period * length}) TO ({(period + 1) * length})"
        )

    async def drop_expired(self, retention: Retention, steps: Iterable[int]) -> list[str]:
        """Drops partitions whose rows have all outlived their retention; returns their names."""
        wanted = {RAW: (_RAW_PERIOD, retention.raw)}
        for step in steps:
            keep = retention.fine_windows if step < 15 * MINUTE else retention.windows
            wanted[window_table(step)] = (window_partition_length(step), keep)
        dropped: list[str] = []
        for table, (length, keep) in wanted.items():
            dropped.extend(await self._drop(table, length, keep))
        if dropped:
            log.info("aggregation.partitions_dropped", tables=dropped)
        return dropped

    async def _drop(self, table: str, length: int, keep: timedelta) -> list[str]:
        oldest = (time.time_ns() // 1000 - keep // timedelta(microseconds=1)) // length
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                """
                SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = $1::regclass
                """,
                table,
            )
            expired = [row["relname"] for row in rows if _number(row["relname"]) < oldest]
            for name in expired:
                try:
                    await connection.execute(f"DROP TABLE {name}")
                except asyncpg.UndefinedTableError:
                    continue  # another replica was faster
                self._known.discard((table, _number(name)))
        return expired


def _number(name: str) -> int:
    text = name.rpartition("_")[2]
    return -int(text[1:]) if text.startswith("m") else int(text)
