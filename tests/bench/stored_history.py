"""A history of readings, written as the service writes it: by its own processor and store, on a partition of its own.

Older readings are committed in blocks of an hour, the last half hour every five seconds, as they would have come.
Windows are not announced. A hundred million readings take some minutes of one core.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import numpy as np

from services.aggregation.adapters.nats.window_events import WindowEncoder, closed_bundle
from services.aggregation.adapters.postgres.partition_store import PostgresPartitionStore
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from services.chassis.postgres import Outbox, PoolOptions, open_database

BUILDING = "history"
INTERVAL = 5 * SECOND
_PARTITION = 1_000_000
_ROLE = "tocsin_aggregation"
_LIVE = 30 * MINUTE


class StoredHistory:
    """Rooms with one thermometer each, which has sent a reading every five seconds since `start`."""

    def __init__(self, processor: Processor, dsn: str, rooms: int, most: int) -> None:
        self._processor = processor
        self._dsn = dsn
        self.rooms = rooms
        self.start = time.time_ns() // 1000 // HOUR * HOUR - -(-most // rooms) * INTERVAL
        self.rounds = 0
        self._sequence = 0
        self._chance = np.random.default_rng(1)
        self._names = [str(room).encode() for room in range(rooms)]

    @property
    def readings(self) -> int:
        """How many are stored."""
        return self.rounds * self.rooms

    @property
    def end(self) -> int:
        """Just after the last one."""
        return self.start + self.rounds * INTERVAL

    async def grow(self, readings: int) -> float:
        """Stores so many in all; the seconds it took."""
        began = time.perf_counter()
        total = readings // self.rooms
        live = total - _LIVE // INTERVAL
        while self.rounds < total:
            await self._append(min(HOUR // INTERVAL, live - self.rounds) if self.rounds < live else 1)
        took = time.perf_counter() - began
        connection = await asyncpg.connect(self._dsn, server_settings={"search_path": "aggregation"})
        # What autovacuum does in the time that such a history takes to come.
        await connection.execute("VACUUM (ANALYZE, PARALLEL 0)")
        await connection.execute("CHECKPOINT")
        await connection.close()
        return took

    async def _append(self, rounds: int) -> None:
        index = np.tile(np.arange(self.rooms, dtype=np.int64), rounds)
        number = self.rounds + np.repeat(np.arange(rounds, dtype=np.int64), self.rooms)
        times = self.start + number * INTERVAL + self._chance.integers(0, 200_000, len(index))
        values = 293 + 5 * np.sin(times / 1.4e10)
        self._sequence += 1
        await self._processor.process([Message(self._sequence, 0.0, self._names, index, times, values, None)], [])
        self.rounds += rounds


def _describe(name: bytes) -> Descriptor:
    return Descriptor(SeriesKey(BUILDING, f"r{int(name)}", "temperature", "d1"), Kind.GAUGE, "K", INTERVAL)


@asynccontextmanager
async def stored_history(dsn: str, rooms: int, most: int) -> AsyncGenerator[StoredHistory]:
    """An empty history that can grow to `most` readings. `dsn`: of the role that may do everything."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "aggregation"})
    await connection.execute(
        "INSERT INTO partitions (partition, owner, epoch, expires_at) VALUES ($1, 'bench', 1, 'infinity')", _PARTITION
    )
    await connection.close()
    options = PoolOptions(statement_timeout=timedelta(minutes=5))
    as_service = f"{dsn}{'&' if '?' in dsn else '?'}role={_ROLE}"
    async with open_database(as_service, schema="aggregation", application_name="bench", options=options) as database:
        rules = Rules(announced=())
        store = PostgresPartitionStore(
            database,
            rules,
            Outbox(source="bench"),
            bundle=WindowEncoder().bundle,
            bundle_one_by_one=closed_bundle,
            describe=_describe,
        )
        processor = Processor(store, Lease(_PARTITION, "bench", 1), rules, _describe, lambda: 0.0)
        await processor.load()
        yield StoredHistory(processor, dsn, rooms, most)


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 99th percentile, in milliseconds."""
    found = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return float(found[0]), float(found[1])
