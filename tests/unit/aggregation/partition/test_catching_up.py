"""A recomputation begins when everything accepted before it was asked for has had its effect, and not before."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import Recomputation, Totals
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.application.partition.worker import PartitionWorker, WorkerOptions
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.partition.continuity import Stream
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.partition import T0, Arrival, descriptor, message
from tests.support.eventually import eventually

RULES = Rules(lateness=3 * HOUR)
METER = descriptor(0, Kind.COUNTER)._replace(revision=1)
NEWS = Descriptor(
    SeriesKey("", "", "temperature", ""), Kind.COUNTER, "K", 5 * SECOND, CounterRules(Policy.REJECT), False, 2
)
VALUES = [100.0, 101.0, 102.0, 103.0, 1.0, 2.0, 3.0, 4.0, 5.0]
SENT: list[Arrival] = [(0, T0 + at * 5 * SECOND, value) for at, value in enumerate(VALUES)]


class Lane:
    """Messages in hand come at once; `on_their_way` are accepted, but cannot be fetched yet."""

    def __init__(self, *messages: Message) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        for one in messages:
            self.messages.put_nowait(one)
        self.on_their_way = False
        self.asked = 0

    async def fetch(self) -> Sequence[Message]:
        return [await self.messages.get()]

    async def done(self, messages: Sequence[Message]) -> None:
        """Nothing to do."""

    def describe(self, descriptor: bytes) -> Descriptor:
        assert descriptor == b"0"
        return METER

    async def accepting(self) -> bool | None:
        return True

    async def drained(self) -> bool:
        self.asked += 1
        return not self.on_their_way


class Desk:
    """A worker on the lane, and a recomputation asked of it."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.store = InMemoryPartitionStore(RULES)
        self.worker = PartitionWorker(Lease(0, "me", 1), self.store, self._open, self._stream, RULES, WorkerOptions())
        self.store.epochs[0] = 1

    @asynccontextmanager
    async def _open(self, partition: int) -> AsyncGenerator[Lane]:
        assert partition == 0
        yield self.lane

    async def _stream(self) -> Stream:
        return Stream("s", 2**62)

    async def until_closed(self) -> None:
        await eventually(lambda: (1, MINUTE, T0) in self.store.windows)

    def ask(self) -> None:
        self.store.jobs[1] = (0, Recomputation(1, 1, None, 2**62, False, Totals()))
        self.worker.wake()

    @property
    def consumed(self) -> float:
        return float(self.store.windows[1, MINUTE, T0][1]["consumption"])


@asynccontextmanager
async def working(lane: Lane) -> AsyncGenerator[Desk]:
    desk = Desk(lane)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.worker.run())
        try:
            yield desk
        finally:
            desk.worker.stop()


async def test_rules_on_their_way_come_first() -> None:
    lane = Lane(message(1, SENT), message(2, [(0, T0 + HOUR, 5.0)]))
    async with working(lane) as desk:
        await desk.until_closed()
        assert desk.consumed == 7
        lane.on_their_way = True
        before = lane.asked
        desk.ask()
        await eventually(lambda: lane.asked >= before + 3)
        assert not desk.store.done
        lane.messages.put_nowait(replace(message(3, []), changed=[NEWS]))
        await eventually(lambda: desk.store.bookmarks[0].position.sequence == 3)
        lane.on_their_way = False
        await eventually(lambda: desk.store.done)
        assert desk.consumed == 3


async def test_a_lane_that_is_never_empty_does_not_hold_it_up() -> None:
    lane = Lane(message(1, SENT), message(2, [(0, T0 + HOUR, 5.0)]))
    async with working(lane) as desk:
        await desk.until_closed()
        lane.on_their_way = True
        desk.ask()
        await eventually(lambda: lane.asked)
        lane.messages.put_nowait(replace(message(3, []), changed=[NEWS]))
        # Accepted after it was asked for: everything before has come.
        later = replace(message(4, [(0, T0 + 2 * HOUR, 6.0)]), accepted=time.time() + 60)
        lane.messages.put_nowait(later)
        await eventually(lambda: desk.store.done)
        assert desk.consumed == 3
