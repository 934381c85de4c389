"""When series that have gone quiet may be called so: right to a tick, and never for readings that are on their way."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.aggregation.application.partition.processor import Processor, wall_clock_us
from services.aggregation.application.partition.reading_lane import Message, ReadingLane
from services.aggregation.domain.times import NEVER, SECOND

ASK_EVERY: Final = timedelta(milliseconds=100)
BACKLOG: Final = SECOND
"""Who is further behind than this is working off a backlog."""


class SilenceWatch:
    """Knows up to when everything that was accepted has been processed: up to the newest message's acceptance, and,
    when the lane was found empty, up to when it was asked. While that is longer ago than a second, nothing is called
    quiet: a backlog is being worked off, and what seems missing may be in it."""

    def __init__(self, lane: ReadingLane, processor: Processor) -> None:
        self._lane = lane
        self._processor = processor
        self._until = NEVER
        self._asked = float("-inf")

    def patience(self, limit: float) -> float:
        """Seconds until there may be something to do, at most `limit`."""
        due = self._processor.alarms.deadline()
        if due is None:
            return limit
        wait = (due - wall_clock_us()) / SECOND
        again = self._asked + ASK_EVERY.total_seconds() - asyncio.get_running_loop().time()
        return min(max(wait, again, 0.0), limit)

    async def watch(self, processed: Sequence[Message]) -> None:
        """Brings the rules up to date, and raises what is due; `processed`: the messages since the last time."""
        if processed:
            self._until = max(self._until, int(processed[-1].accepted * SECOND))
        await self._processor.keep_up_alarms()
        now, due = wall_clock_us(), self._processor.alarms.deadline()
        if due is None or due > now:
            return
        if not processed and (due > self._until or now - self._until > BACKLOG):
            await self._ask()
        if due <= self._until and now - self._until <= BACKLOG:
            await self._processor.keep_up_alarms(self._until)

    async def reached(self, time: int) -> bool:
        """Whether all that had been accepted by `time` (the wall clock) has been processed."""
        if self._until < time:
            now = wall_clock_us()
            if await self._lane.drained():
                self._until = now
        return self._until >= time

    async def _ask(self) -> None:
        clock = asyncio.get_running_loop().time()
        if clock >= self._asked + ASK_EVERY.total_seconds():
            self._asked, now = clock, wall_clock_us()
            if await self._lane.drained():
                self._until = now
