"""Live streams of closing windows: one feed in, many watchers out, none of whom can hold up the others."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from services.aggregation.application import metrics
from services.aggregation.domain.errors import TooManyWatchers, WatcherTooSlow
from services.chassis.tasks import cancel


@dataclass(frozen=True, slots=True)
class WatchFilter:
    """What a watcher lets through; empty: everything. `step` in microseconds, 0: every step."""

    building: str = ""
    room: str = ""
    sensor_type: str = ""
    step: int = 0


class ClosedWindow(Protocol):
    """What a feed brings. `message` is what the watcher passes on."""

    @property
    def building(self) -> str: ...
    @property
    def room(self) -> str: ...
    @property
    def sensor_type(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def message(self) -> Any: ...


class Feed(Protocol):
    """Where closed windows come from."""

    async def start(self, publish: Callable[[ClosedWindow], None]) -> None:
        """Returns when every window that closes from now on is passed to `publish`."""
        ...

    async def stop(self) -> None:
        """Nobody listens any more."""
        ...


class _Watcher:
    def __init__(self, wanted: WatchFilter, capacity: int) -> None:
        self.wanted = wanted
        self.queue: asyncio.Queue[ClosedWindow | None] = asyncio.Queue(capacity + 1)
        self.capacity = capacity
        self.too_slow = False

    def offer(self, window: ClosedWindow) -> None:
        wanted = self.wanted
        if (
            wanted.building not in ("", window.building)
            or wanted.room not in ("", window.room)
            or wanted.sensor_type not in ("", window.sensor_type)
            or wanted.step not in (0, window.step)
            or self.too_slow
        ):
            return
        if self.queue.qsize() >= self.capacity:
            self.too_slow = True
            self.queue.put_nowait(None)
        else:
            self.queue.put_nowait(window)


class Watchers:
    """`capacity`: windows that one watcher may be behind; `limit`: watchers at a time. `feed` runs while somebody
    watches (under load there are thousands of windows a second); without it somebody else calls `publish`."""

    def __init__(self, *, limit: int = 200, capacity: int = 1000, feed: Feed | None = None) -> None:
        self._limit = limit
        self._capacity = capacity
        self._feed = feed
        self._feeding = False
        self._switch = asyncio.Lock()
        self._watchers: set[_Watcher] = set()

    @property
    def any(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    def publish(self, window: ClosedWindow) -> None:
        """Gives the window to everybody who wants it; never waits."""
        for watcher in self._watchers:
            watcher.offer(window)

    async def watch(self, wanted: WatchFilter, stop: asyncio.Event) -> AsyncIterator[ClosedWindow]:
        """Windows as they close from now on, until `stop`. Raises TooManyWatchers, WatcherTooSlow and Unavailable."""
        async with self._joined(wanted) as watcher:
            ender = asyncio.create_task(stop.wait(), name="watch end")
            taker: asyncio.Task[ClosedWindow | None] | None = None
            try:
                while True:
                    taker = asyncio.create_task(watcher.queue.get(), name="watch next")
                    await asyncio.wait({taker, ender}, return_when=asyncio.FIRST_COMPLETED)
                    if not taker.done():
                        return
                    window = taker.result()
                    if window is None:
                        metrics.WATCHERS_ENDED.inc()
                        raise WatcherTooSlow
                    yield window
            finally:
                await cancel(ender, taker)

    @asynccontextmanager
    async def _joined(self, wanted: WatchFilter) -> AsyncGenerator[_Watcher]:
        if len(self._watchers) >= self._limit:
            raise TooManyWatchers(retry_after=timedelta(seconds=10), metadata={"limit": str(self._limit)})
        watcher = _Watcher(wanted, self._capacity)
        self._watchers.add(watcher)
        metrics.WATCHERS.inc()
        try:
            await self._switch_feed()
            yield watcher
        finally:
            self._watchers.discard(watcher)
            metrics.WATCHERS.dec()
            await self._switch_feed()

    async def _switch_feed(self) -> None:
        """On while somebody watches."""
        if self._feed is None:
            return
        async with self._switch:
            if self.any and not self._feeding:
                await self._feed.start(self.publish)
                self._feeding = True
            elif self._feeding and not self.any:
                self._feeding = False
                await self._feed.stop()
