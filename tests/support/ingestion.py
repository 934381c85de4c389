"""Parts of ingestion in memory, and the service itself in this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from services.ingestion.adapters.memory.catalogue import MemoryCatalogue
from services.ingestion.adapters.memory.stores import (
    MemoryCountingValues,
    MemoryIdempotencyKeys,
    MemoryLane,
    MemoryPriority,
    MemoryQuarantine,
)
from services.ingestion.application.payloads import Payloads
from services.ingestion.application.reading_group_commit import ReadingGroupCommit, ReadingGroupCommitOptions
from services.ingestion.application.readings import Readings
from services.ingestion.application.series_directory import DirectoryOptions, SeriesDirectory
from services.ingestion.domain.catalogue import Kind, SensorType
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.reading import TimeLimits
from services.ingestion.domain.series import Series, SeriesKey

NOW_US = 1_790_000_000_000_000
TYPES = (
    SensorType("temperature", Kind.GAUGE, "K", 0.0),
    SensorType("humidity", Kind.GAUGE, "%", 0.0, 100.0),
    SensorType("energy", Kind.COUNTER, "Wh", 0.0),
    SensorType("filling_level", Kind.LEVEL, "%", 0.0, 100.0),
)


def series(
    device: str = "d1", partitions: int = 4, sensor_type: SensorType = TYPES[0], rules: CounterRules | None = None
) -> Series:
    """A series of the device."""
    return Series(SeriesKey("b1", "r1", sensor_type.id, device), sensor_type, partitions, rules)


@dataclass
class Kit:
    """The use cases on stores in memory. The clock stands at `now_us`, or goes on by `tick_us` when it is read."""

    types: Sequence[SensorType] = TYPES
    auto_register: bool = True
    max_auto_registered: int = 100_000
    options: ReadingGroupCommitOptions = field(
        default_factory=lambda: ReadingGroupCommitOptions(partitions=4, linger=timedelta(0))
    )
    now_us: int = NOW_US
    tick_us: int = 0

    def __post_init__(self) -> None:
        self.counting = MemoryCountingValues()
        self.lane, self.priority, self.quarantine = MemoryLane(), MemoryPriority(), MemoryQuarantine()
        self.catalogue, self.keys = MemoryCatalogue(self.types), MemoryIdempotencyKeys()
        self.directory = SeriesDirectory(
            self.catalogue,
            DirectoryOptions(
                auto_register=self.auto_register,
                max_auto_registered=self.max_auto_registered,
                partitions=self.options.partitions,
            ),
        )
        self.coalescer = ReadingGroupCommit(self.lane, self.counting, self.options)
        limits = TimeLimits()
        self.readings = Readings(self.directory, self.coalescer, self.keys, clock=self.clock, limits=limits)
        self.payloads = Payloads(
            self.directory, self.coalescer, self.priority, self.quarantine, clock=self.clock, limits=limits
        )

    def clock(self) -> int:
        """The time that the use cases see."""
        self.now_us += self.tick_us
        return self.now_us


@asynccontextmanager
async def running(coalescer: ReadingGroupCommit) -> AsyncIterator[None]:
    """Publishes during the block."""
    task = asyncio.create_task(coalescer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def kit(**more: object) -> AsyncIterator[Kit]:
    """A kit that is running and has read its catalogue."""
    made = Kit(**more)  # pyright: ignore[reportArgumentType]
    await made.directory.reload()
    async with running(made.coalescer):
        yield made
