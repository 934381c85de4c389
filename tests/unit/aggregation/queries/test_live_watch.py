"""Live streams: nobody holds up the others, and the feed runs while somebody watches."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from services.aggregation.application.queries.live_watch import ClosedWindow, Watchers, WatchFilter
from services.aggregation.domain.errors import TooManyWatchers, WatcherTooSlow
from services.aggregation.domain.times import MINUTE
from services.chassis.errors import Unavailable


@dataclass(frozen=True)
class Seen:
    building: str
    step: int = MINUTE
    room: str = "r"
    sensor_type: str = "t"
    message: str = ""


async def test_a_slow_watcher_is_ended_and_holds_nobody_up() -> None:
    watchers, stop = Watchers(limit=2, capacity=3), asyncio.Event()
    slow, quick = watchers.watch(WatchFilter(), stop), watchers.watch(WatchFilter(building="b2"), stop)
    first, second = asyncio.ensure_future(anext(slow)), asyncio.ensure_future(anext(quick))
    while not watchers.any or len(watchers._watchers) < 2:
        await asyncio.sleep(0)
    with pytest.raises(TooManyWatchers):
        await anext(watchers.watch(WatchFilter(), stop))
    watchers.publish(Seen("b1"))
    assert (await first).building == "b1"
    for _ in range(10):
        watchers.publish(Seen("b1"))
    watchers.publish(Seen("b2"))
    assert (await second).building == "b2"
    for _ in range(3):
        assert (await anext(slow)).building == "b1"
    with pytest.raises(WatcherTooSlow):
        await anext(slow)
    stop.set()
    assert [window async for window in quick] == []
    assert not watchers.any


class CountedFeed:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.publish: Callable[[ClosedWindow], None] | None = None
        self.fails = False

    async def start(self, publish: Callable[[ClosedWindow], None]) -> None:
        if self.fails:
            raise Unavailable("away")
        self.calls.append("start")
        self.publish = publish

    async def stop(self) -> None:
        self.calls.append("stop")


async def test_the_feed_runs_while_somebody_watches() -> None:
    feed, stop = CountedFeed(), asyncio.Event()
    watchers = Watchers(feed=feed)
    for _ in range(2):
        first, second = watchers.watch(WatchFilter(), stop), watchers.watch(WatchFilter(), stop)
        taking = [asyncio.ensure_future(anext(aiter(one))) for one in (first, second)]
        while len(watchers._watchers) < 2 or feed.calls[-1:] != ["start"]:
            await asyncio.sleep(0)
        assert feed.publish is not None
        feed.publish(Seen("b7"))
        assert [(await one).building for one in taking] == ["b7", "b7"]
        await first.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        assert feed.calls[-1] == "start"
        await second.aclose()  # pyright: ignore[reportAttributeAccessIssue]
        assert feed.calls[-1] == "stop"
    assert feed.calls == ["start", "stop"] * 2
    feed.fails = True
    with pytest.raises(Unavailable):
        await anext(aiter(watchers.watch(WatchFilter(), stop)))
    feed.fails = False
    assert feed.calls == ["start", "stop"] * 2
