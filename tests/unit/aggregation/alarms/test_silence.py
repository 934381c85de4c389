"""When a series may be called quiet: not while anything is on its way, not while a backlog is worked off."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.aggregation.application.alarms import silence
from services.aggregation.application.alarms.silence import SilenceWatch
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.alarms.rule import NoData
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor, message


class Lane:
    """Says whether it is empty, and how often it was asked."""

    def __init__(self) -> None:
        self.empty = True
        self.asked = 0

    async def fetch(self) -> Sequence[Message]:
        return ()

    async def done(self, messages: Sequence[Message]) -> None:
        """Nothing to do."""

    def describe(self, descriptor: bytes) -> Descriptor:
        raise AssertionError(descriptor)

    async def drained(self) -> bool:
        self.asked += 1
        return self.empty


class Clock:
    """The wall clock, moved by hand."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(silence, "wall_clock_us", made)
    return made


def accepted(at: int) -> Message:
    made: Any = message(1, [(0, T0, 1.0)])
    object.__setattr__(made, "accepted", at / SECOND)
    return made


def quiet(after: int = MINUTE) -> AlarmBench:
    bench = AlarmBench([descriptor(0)], rule(NoData(after)))
    bench.feed([(0, T0, 1.0)])
    return bench


async def watch(bench: AlarmBench, lane: Lane) -> SilenceWatch:
    return SilenceWatch(lane, bench.processor)


def test_an_empty_lane_is_asked_when_it_is_time_and_not_before(clock: Clock) -> None:
    bench, lane = quiet(), Lane()

    async def run() -> None:
        watched = await watch(bench, lane)
        clock.now = T0 + MINUTE - 1
        await watched.watch([])
        assert (lane.asked, bench.alarms) == (0, [])
        assert watched.patience(5.0) == pytest.approx(1e-6)
        clock.now = T0 + MINUTE
        lane.empty = False
        await watched.watch([])
        await watched.watch([])
        assert (lane.asked, bench.alarms) == (1, [])
        assert 0 < watched.patience(5.0) <= 0.1

    asyncio.run(run())
    lane.empty = True

    async def again() -> None:
        await (await watch(bench, lane)).watch([])

    asyncio.run(again())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + MINUTE]


def test_the_newest_message_tells_how_far_everything_has_come(clock: Clock) -> None:
    bench, lane = quiet(), Lane()
    lane.empty = False

    async def run() -> None:
        watched = await watch(bench, lane)
        clock.now = T0 + MINUTE + SECOND // 2
        await watched.watch([accepted(T0 + MINUTE - 1)])
        assert bench.alarms == []
        await watched.watch([accepted(T0 + MINUTE + 1)])

    asyncio.run(run())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + MINUTE]
    assert lane.asked == 0


def test_who_works_off_a_backlog_calls_nobody_quiet(clock: Clock) -> None:
    bench, lane = quiet(), Lane()

    async def run() -> None:
        watched = await watch(bench, lane)
        clock.now = T0 + HOUR
        await watched.watch([accepted(T0 + MINUTE + SECOND)])
        assert bench.alarms == []
        await watched.watch([])

    asyncio.run(run())
    assert (lane.asked, len(bench.alarms)) == (1, 1)
