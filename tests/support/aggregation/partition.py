"""A partition without NATS and PostgreSQL: messages in, windows out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from services.aggregation.adapters.memory.amendments import StoredAmendment
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import Recomputation, Totals
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.late.amendments import AmendmentOutcome, AskedAmendment
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import HOUR

T0 = 1_760_000_400_000_000 // HOUR * HOUR

Arrival = tuple[int, int, float]
"""(number of the series, event time, value)."""


def descriptor(number: int, kind: Kind = Kind.GAUGE, interval: int = 5_000_000) -> Descriptor:
    """A series of a test."""
    return Descriptor(SeriesKey("b1", "r1", "temperature", f"d{number}"), kind, "K", interval)


def message(sequence: int, arrivals: Sequence[Arrival]) -> Message:
    """One message with these readings, in this order."""
    numbers = sorted({number for number, _, _ in arrivals})
    return Message(
        sequence,
        0.0,
        [str(number).encode() for number in numbers],
        np.array([numbers.index(number) for number, _, _ in arrivals], np.int64),
        np.array([time for _, time, _ in arrivals], np.int64),
        np.array([value for _, _, value in arrivals], np.float64),
        None,
    )


async def at_once() -> bool:
    """A recomputation need not wait."""
    return True


class Bench:
    """Runs a processor over an in-memory store; the clock stands still unless moved."""

    def __init__(self, rules: Rules, descriptors: Sequence[Descriptor]) -> None:
        self.rules = rules
        self.store = InMemoryPartitionStore(rules)
        self.lease = Lease(0, "test", 1)
        self.now = 0.0
        self._descriptors = descriptors
        self._sequence = 0
        self.processor = self._open()

    def _open(self) -> Processor:
        processor = Processor(
            self.store, self.lease, self.rules, lambda raw: self._descriptors[int(raw)], lambda: self.now
        )
        asyncio.run(processor.load())
        return processor

    def reopen(self) -> None:
        """Another owner takes over: everything in memory is forgotten."""
        self.processor = self._open()

    def feed(self, arrivals: Sequence[Arrival]) -> None:
        """One batch."""
        self._sequence += 1
        asyncio.run(self.processor.process([message(self._sequence, arrivals)], []))

    def hear(self, *changed: Descriptor, arrivals: Sequence[Arrival] = ()) -> None:
        """A batch that says which rules have changed in the catalogue."""
        self._sequence += 1
        news = replace(message(self._sequence, arrivals), changed=changed)
        asyncio.run(self.processor.process([news], []))

    def change(self, rules: Rules | None = None, descriptors: Sequence[Descriptor] | None = None) -> None:
        """The service comes back with other settings, or the catalogue says something else; another owner takes
        over."""
        self.rules, self._descriptors = rules or self.rules, descriptors or self._descriptors
        self.store.change_rules(self.rules)
        self.reopen()

    def recompute(
        self, series_id: int, start: int | None = None, end: int = 2**62, *, include_too_late: bool = False
    ) -> Totals:
        """Asks for it, and does it."""
        job = Recomputation(len(self.store.done) + 1, series_id, start, end, include_too_late, Totals())
        self.store.jobs[job.id] = (0, job)

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())
        return self.store.done[job.id]

    def amend(self, series_id: int, time: int, value: float | None) -> AmendmentOutcome | None:
        """Somebody voids a reading, or replaces its value."""
        id_ = len(self.store.amendments) + 1
        self.store.amendments[id_] = StoredAmendment(series_id, time, value, "somebody", "a test")
        overrules = value is not None and self.store.withdraw(series_id, time)
        asked = AskedAmendment(id_, time, value, overrules)
        job = Recomputation(1_000_000 + id_, series_id, None, 2**62, False, Totals(), True, [asked])
        self.store.jobs[job.id] = (0, job)

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())
        return self.store.amendments[id_].outcome

    def void_range(self, series_id: int, start: int, end: int) -> None:
        """Somebody voids all readings of [start, end)."""
        held = (self.store.counted, self.store.skipped, self.store.voided)
        times = sorted(time for own in held for time in own.get(series_id, {}) if start <= time < end)
        if not times:
            return
        first = len(self.store.amendments) + 1
        asked = [AskedAmendment(first + place, time, None) for place, time in enumerate(times)]
        for one in asked:
            self.store.amendments[one.id] = StoredAmendment(series_id, one.time, None, "somebody", "a test")
        job = Recomputation(1_000_000 + first, series_id, None, end, False, Totals(), True, asked)
        self.store.jobs[job.id] = (0, job)

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())

    def decide(self, series_id: int, time: int, decision: Decision) -> None:
        """Somebody decides about a reading of a counter."""
        self.store.decided.setdefault(series_id, {})[time] = decision
        id_ = 2_000_000 + len(self.store.done)
        self.store.jobs[id_] = (0, Recomputation(id_, series_id, None, time + 1, False, Totals(), True))

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())

    def fall_quiet(self) -> None:
        """Long after the last reading."""
        self.now += 1e6
        asyncio.run(self.processor.close_quiet())
