"""When a series may be called quiet: not while anything is on its way, not for a time in which nothing could come, not
where its device has left; and alarms that are closed by hand."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.aggregation.application.alarms import silence
from services.aggregation.application.alarms.silence import SilenceWatch
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.alarms.alarm import Cause, State
from services.aggregation.domain.alarms.rule import NoData, Threshold
from services.aggregation.domain.series import Descriptor, DeviceMove
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor, message
from tests.support.eventually import eventually


class Lane:
    """Says whether it is empty, and how often it was asked."""

    def __init__(self) -> None:
        self.empty: bool | None = True
        self.taken = True
        self.asked = 0

    async def fetch(self) -> Sequence[Message]:
        return ()

    async def done(self, messages: Sequence[Message]) -> None:
        """Nothing to do."""

    async def put_aside(self, message: Message, error: Exception) -> Message:
        raise AssertionError(message) from error

    def describe(self, descriptor: bytes) -> Descriptor:
        raise AssertionError(descriptor)

    async def accepting(self) -> bool | None:
        self.asked += not self.taken
        return self.taken

    async def drained(self) -> bool | None:
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


async def opened(bench: AlarmBench, lane: Lane) -> SilenceWatch:
    """Everything has been processed, and readings can be taken from now on."""
    made = SilenceWatch(lane, bench.processor)
    await made.watch([])
    return made


def test_an_empty_lane_is_asked_when_it_is_time_and_not_before(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, lane = quiet(), Lane()
    monkeypatch.setattr(silence, "ASK_EVERY", timedelta(hours=1))

    async def run() -> None:
        watched = await opened(bench, lane)
        clock.now = T0 + MINUTE - 1
        await watched.watch([])
        assert (lane.asked, bench.alarms) == (1, [])
        assert watched.patience(5.0) > 1.0

    asyncio.run(run())


def test_what_is_in_the_lane_may_be_what_is_missing(clock: Clock) -> None:
    bench, lane = quiet(), Lane()

    async def run() -> None:
        watched = await opened(bench, lane)
        clock.now = T0 + MINUTE
        lane.empty = False

        async def asked() -> bool:
            await watched.watch([])
            return lane.asked >= 2

        await eventually(asked)
        assert bench.alarms == []
        assert 0 < watched.patience(5.0) <= 0.1
        lane.empty = True

        async def raised() -> bool:
            await watched.watch([])
            return [alarm.raised for alarm in bench.alarms] == [T0 + MINUTE]

        await eventually(raised)

    asyncio.run(run())


def test_the_newest_message_tells_how_far_everything_has_come(clock: Clock) -> None:
    bench, lane = quiet(), Lane()

    async def run() -> None:
        watched = await opened(bench, lane)
        lane.empty = False
        clock.now = T0 + MINUTE + SECOND // 2
        await watched.watch([accepted(T0 + MINUTE - 1)])
        assert bench.alarms == []
        await watched.watch([accepted(T0 + MINUTE + 1)])

    asyncio.run(run())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + MINUTE]
    assert lane.asked == 1


def test_who_works_off_a_backlog_calls_nobody_quiet(clock: Clock) -> None:
    bench, lane = quiet(), Lane()
    lane.empty = False

    async def run() -> None:
        watched = SilenceWatch(lane, bench.processor)
        clock.now = T0 + HOUR
        await watched.watch([accepted(T0 + MINUTE + SECOND)])
        assert bench.alarms == []

    asyncio.run(run())
    assert lane.asked == 0


def test_silence_counts_from_when_readings_could_be_taken(clock: Clock) -> None:
    """Three devices send each second and buffer while the mesh is away for 45 s; the rule says 25 s."""
    bench, lane = AlarmBench([descriptor(n) for n in range(3)], rule(NoData(25 * SECOND))), Lane()
    bench.feed([(n, T0, 1.0) for n in range(3)])
    bench.reopen()
    clock.now = T0 + 45 * SECOND

    async def run() -> None:
        watched = await opened(bench, lane)
        assert bench.alarms == []
        clock.now += 24 * SECOND
        await watched.watch([accepted(clock.now)])
        assert bench.alarms == []

    asyncio.run(run())
    buffered = [(n, T0 + at * SECOND, 1.0) for n in (0, 1) for at in range(1, 70)]
    bench.feed(buffered, accepted=clock.now)

    async def later() -> None:
        watched = SilenceWatch(lane, bench.processor)
        clock.now = T0 + 70 * SECOND
        await watched.watch([accepted(clock.now)])

    asyncio.run(later())
    bench.processor.alarms.resume(T0 + 45 * SECOND)
    bench.clock(T0 + 70 * SECOND)
    # The third one is really silent: as long as the rule says since the mesh is back.
    [alarm] = bench.alarms
    assert (alarm.key.device, alarm.start, alarm.raised) == ("d2", T0 + 25 * SECOND, T0 + 70 * SECOND)


def test_after_a_start_nobody_is_waited_for_longer_than_the_grace_or_three_intervals() -> None:
    for interval, wait in ((5 * SECOND, 5 * MINUTE), (10 * MINUTE, 30 * MINUTE)):
        bench = AlarmBench([descriptor(0, interval=interval)], rule(NoData(24 * HOUR)))
        bench.feed([(0, T0, 1.0)])
        back = T0 + 24 * HOUR - MINUTE
        bench.processor.alarms.resume(back)
        bench.clock(back + wait - 1)
        assert bench.alarms == []
        bench.clock(back + wait)
        assert [(alarm.start, alarm.raised) for alarm in bench.alarms] == [(T0 + 24 * HOUR, back + wait)]


@pytest.mark.parametrize("away", ["broker", "ingestion"])
def test_an_outage_is_held_against_nobody(clock: Clock, away: str) -> None:
    bench, lane = quiet(), Lane()

    async def run() -> None:
        watched = await opened(bench, lane)
        lane.empty, lane.taken = (None, True) if away == "broker" else (True, False)
        clock.now = T0 + MINUTE

        async def unknown() -> bool:
            await watched.watch([])
            return lane.asked >= 2

        await eventually(unknown)
        # Whoever waits for what was accepted is answered all the same; that calls nobody quiet.
        assert await watched.reached(clock.now) == (away == "ingestion")
        await watched.watch([])
        lane.empty = lane.taken = True
        lane.asked = 0
        clock.now = T0 + 10 * MINUTE

        async def back() -> bool:
            await watched.watch([])
            return lane.asked > 0

        await eventually(back)
        assert bench.alarms == []
        clock.now = T0 + 11 * MINUTE
        await watched.watch([accepted(clock.now)])

    asyncio.run(run())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + 11 * MINUTE]


def test_messages_by_another_door_do_not_hide_that_the_edge_is_down(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, lane = quiet(), Lane()
    monkeypatch.setattr(silence, "ASK_EVERY", timedelta(0))

    async def run() -> None:
        watched = await opened(bench, lane)
        lane.taken = False
        clock.now = T0 + MINUTE + 1
        await watched.watch([accepted(clock.now)])
        lane.taken = True
        clock.now = T0 + 10 * MINUTE
        await watched.watch([accepted(clock.now)])
        assert bench.alarms == []
        clock.now = T0 + 11 * MINUTE + 1
        await watched.watch([accepted(clock.now)])

    asyncio.run(run())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + 11 * MINUTE]


def test_an_outage_of_the_edge_between_two_messages_is_seen_though_nothing_was_due_in_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that reports each 50 s and keeps nothing; what it sent within the outage is gone."""
    bench, lane = quiet(), Lane()
    monkeypatch.setattr(silence, "PROBE_EVERY", timedelta(0))
    monkeypatch.setattr(silence, "ASK_EVERY", timedelta(0))

    async def run() -> None:
        watched = await opened(bench, lane)
        for second, taken in ((20, True), (45, False), (55, True), (60, True), (100, True)):
            clock.now, lane.taken = T0 + second * SECOND, taken
            await watched.watch([accepted(clock.now)])
        assert bench.alarms == []
        clock.now = T0 + 115 * SECOND
        await watched.watch([accepted(clock.now)])

    asyncio.run(run())
    assert [alarm.raised for alarm in bench.alarms] == [T0 + 115 * SECOND]


def test_a_late_reading_that_does_not_end_the_silence_does_not_clear_it() -> None:
    bench = AlarmBench([descriptor(0)], rule(NoData(10 * SECOND)))
    bench.feed([(0, T0, 1.0)], accepted=T0)
    bench.clock(T0 + 10 * SECOND)
    for late in (1, 2):
        bench.feed([(0, T0 + late * SECOND, 2.0)], accepted=T0 + (12 + late) * SECOND)
        bench.clock(T0 + (12 + late) * SECOND)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.update, alarm.last_value) == (State.RAISED, T0 + 2 * SECOND, 2.0)
    assert [event.alarm.state for event in bench.store.alarms.events] == [State.RAISED]
    # Buffered ones up to now: it is over with the first that is no older than the rule allows.
    bench.feed([(0, T0 + at * SECOND, 3.0) for at in range(15, 31)], accepted=T0 + 30 * SECOND)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.cleared, alarm.cause) == (State.CLEARED, T0 + 21 * SECOND, Cause.CONDITION_ENDED)


HERE, THERE = ("b1", "r1"), ("b1", "r2")


@pytest.mark.parametrize("to", [THERE, None], ids=["moved", "deleted"])
def test_a_device_that_has_left_is_not_missed_where_it_was(to: tuple[str, str] | None) -> None:
    bench = AlarmBench([descriptor(0), descriptor(1)], rule(NoData(15 * SECOND)))
    bench.feed([(0, T0, 1.0), (1, T0, 1.0)])
    bench.feed([], moved=[DeviceMove("d0", HERE, to, T0 + SECOND)])
    for _ in range(2):
        bench.clock(T0 + HOUR)
        assert [alarm.key.device for alarm in bench.alarms] == ["d1"]
        bench.reopen()  # it is remembered
    # What a moment ago was on its way does not bring it back, what it sends later does.
    bench.feed([(0, T0 + 30 * SECOND, 1.0)])
    bench.clock(T0 + HOUR)
    assert len(bench.alarms) == 1
    bench.feed([(0, T0 + HOUR, 1.0)])
    bench.clock(T0 + 2 * HOUR)
    assert sorted(alarm.key.device for alarm in bench.alarms) == ["d0", "d1"]


def test_open_alarms_of_a_device_that_leaves_are_closed_and_it_may_come_back() -> None:
    over = rule(Threshold(above=True, limit=10), "hot")
    bench = AlarmBench([descriptor(0)], rule(NoData(15 * SECOND)), over)
    bench.feed([(0, T0, 11.0)])
    bench.clock(T0 + MINUTE)
    assert [alarm.state for alarm in bench.alarms] == [State.RAISED, State.RAISED]
    bench.feed([], moved=[DeviceMove("d0", HERE, THERE, T0 + 2 * MINUTE)])
    assert {(alarm.state, alarm.cause) for alarm in bench.alarms} == {(State.CLEARED, Cause.DEVICE_LEFT)}
    bench.feed([], moved=[DeviceMove("d0", THERE, HERE, T0 + 3 * MINUTE)])
    bench.clock(T0 + HOUR)
    assert [alarm.rule for alarm in bench.alarms if alarm.open] == ["rule"]


def test_what_was_closed_by_hand_rings_again_only_when_its_condition_is_met_anew() -> None:
    bench = AlarmBench([descriptor(0)], rule(Threshold(above=True, limit=10)))
    bench.feed([(0, T0, 11.0)])
    closed = bench.close(bench.alarms[0].id, "ann", "the probe lies in the sun")
    assert (closed.state, closed.cause, closed.closed_by) == (State.CLEARED, Cause.CLOSED_BY_HAND, "ann")
    bench.feed([(0, T0 + SECOND, 12.0)])
    bench.reopen()
    bench.feed([(0, T0 + 2 * SECOND, 13.0)])
    bench.feed([(0, T0 + 3 * SECOND, 9.0)])
    [alarm] = bench.alarms
    assert (alarm.cause, alarm.close_reason, alarm.extreme) == (
        Cause.CLOSED_BY_HAND,
        "the probe lies in the sun",
        11.0,
    )
    assert not alarm.lasting
    bench.feed([(0, T0 + 4 * SECOND, 14.0)])
    assert [alarm.state for alarm in bench.alarms] == [State.CLEARED, State.RAISED]
    told = [event.alarm.state for event in bench.store.alarms.events]
    assert told == [State.RAISED, State.CLEARED, State.RAISED]


def test_silence_can_be_closed_by_hand() -> None:
    bench = AlarmBench([descriptor(0)], rule(NoData(MINUTE)))
    bench.feed([(0, T0, 1.0)])
    bench.clock(T0 + MINUTE)
    bench.close(bench.alarms[0].id)
    bench.reopen()
    bench.clock(T0 + HOUR)
    assert len(bench.alarms) == 1
    bench.feed([(0, T0 + HOUR, 1.0)])
    bench.clock(T0 + 2 * HOUR)
    assert [alarm.state for alarm in bench.alarms] == [State.CLEARED, State.RAISED]
