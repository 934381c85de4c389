"""When series that have gone quiet may be called so: right to a tick, and never for readings that are on their way."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.aggregation.application.partition.processor import Processor, wall_clock_us
from services.aggregation.application.partition.reading_lane import Message, ReadingLane
from services.aggregation.domain.times import NEVER, SECOND

ASK_EVERY: Final = timedelta(milliseconds=100)
PROBE_EVERY: Final = timedelta(seconds=4)
"""It is looked as often whether readings could come."""
BACKLOG: Final = SECOND
"""Who is further behind than this is working off a backlog."""


class SilenceWatch:
    """Knows up to when everything that was accepted has been processed: up to the newest message's acceptance, and,
    when the lane was found empty, up to when it was asked. While that is longer ago than a second, nothing is called
    quiet: a backlog is being worked off, and what seems missing may be in it.

    It also knows since when readings can be taken without a break: since everything was processed for the first time,
    and since the broker could be asked, and readings come in and be accepted, again after they could not. What was not
    sent before that is held against nobody. Messages that come say nothing of that: they have doors of their own.
    """

    def __init__(self, lane: ReadingLane, processor: Processor) -> None:
        self._lane = lane
        self._processor = processor
        self._until = NEVER
        self._drained = NEVER
        """The same, whether or not readings could be accepted."""
        self._since = NEVER
        """NEVER while readings cannot be taken, as far as is known."""
        self._asked = float("-inf")
        self._open_at = float("-inf")
        """When readings could be taken, as the last answer says (the loop's clock)."""

    def patience(self, limit: float) -> float:
        """Seconds until there may be something to do, at most `limit`."""
        clock = asyncio.get_running_loop().time()
        again = self._asked + ASK_EVERY.total_seconds() - clock
        due = self._processor.alarms.deadline()
        if self._since == NEVER:
            return min(max(again, 0.0), limit)
        if due is None:
            return limit
        wait = min((due - wall_clock_us()) / SECOND, self._open_at + PROBE_EVERY.total_seconds() - clock)
        return min(max(wait, again, 0.0), limit)

    async def watch(self, processed: Sequence[Message]) -> None:
        """Brings the rules up to date, and raises what is due; `processed`: the messages since the last time."""
        if processed:
            self._until = max(self._until, int(processed[-1].accepted * SECOND))
        await self._processor.keep_up_alarms()
        due = self._processor.alarms.deadline()
        if due is None and self._since != NEVER:
            return
        now = wall_clock_us()
        if (self._probing() or (due is not None and due <= now)) and not await self._ask(idle=not processed):
            return
        if now - self._until > BACKLOG:
            return
        if self._since == NEVER:
            self._since = now
            self._processor.alarms.resume(now)
            due = self._processor.alarms.deadline()
        if due is not None and due <= self._until:
            await self._processor.keep_up_alarms(self._until)

    async def reached(self, time: int) -> bool:
        """Whether all that had been accepted by `time` (the wall clock) has been processed."""
        known = max(self._until, self._drained)
        if known < time:
            now = wall_clock_us()
            if await self._lane.drained():
                known = self._drained = now
        return known >= time

    def _probing(self) -> bool:
        return asyncio.get_running_loop().time() >= self._open_at + PROBE_EVERY.total_seconds()

    async def _ask(self, *, idle: bool) -> bool:
        """Whether readings can be taken; where none have just come, also whether there are any. Not asked too often."""
        clock = asyncio.get_running_loop().time()
        if clock < self._asked + ASK_EVERY.total_seconds():
            return self._open_at >= self._asked
        self._asked, now = clock, wall_clock_us()
        taken = await self._lane.accepting()
        drained = await self._lane.drained() if taken and idle else False
        if not taken or drained is None:
            # Nobody could have brought a reading either.
            self._since = NEVER
            return False
        self._open_at = clock
        if drained:
            self._until = now
        return True
