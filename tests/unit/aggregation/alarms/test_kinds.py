"""Alarms where the reference says nothing: windows, emptied containers, rules that come and go, scopes."""

import asyncio
from dataclasses import replace

import pytest

from services.aggregation.domain.alarms.alarm import Alarm, State, alarm_id
from services.aggregation.domain.alarms.rule import (
    Completeness,
    ContainerEmptied,
    FlatLine,
    NoData,
    Threshold,
    scopes_of,
)
from services.aggregation.domain.alarms.wording import span
from services.aggregation.domain.series import Kind, SeriesKey
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, Arrival, descriptor

GAUGE, LEVEL = descriptor(0), descriptor(1, Kind.LEVEL)
ABOVE = Threshold(above=True, limit=3.0)


def facts(alarm: Alarm) -> tuple[State, int, int | None, int | None]:
    return alarm.state, alarm.start, alarm.raised, alarm.cleared


def regular(first: int, last: int, *, every: int = 5) -> list[Arrival]:
    """A reading each five seconds of the minutes [first, last), of which only each `every`-th second was received."""
    return [(0, T0 + at * SECOND, 1.0) for at in range(first * 60, last * 60, every)]


def test_a_window_with_too_few_readings_raises_and_the_first_good_one_clears() -> None:
    bench = AlarmBench([GAUGE], rule(Completeness(0.5, step=MINUTE)))
    bench.feed(regular(0, 2))
    bench.feed(regular(2, 4, every=20))
    bench.reopen()
    [alarm] = bench.alarms
    assert (alarm.state, alarm.value) == (State.RAISED, pytest.approx(0.25))
    assert (alarm.start, alarm.raised) == (T0 + 2 * MINUTE, T0 + 3 * MINUTE)
    bench.feed(regular(4, 6))
    [alarm] = bench.alarms
    assert facts(alarm) == (State.CLEARED, T0 + 2 * MINUTE, T0 + 3 * MINUTE, T0 + 5 * MINUTE)
    assert (alarm.last_value, alarm.extreme) == (pytest.approx(0.25), pytest.approx(0.25))


def test_nobody_is_blamed_for_the_time_before_the_first_reading() -> None:
    bench = AlarmBench([GAUGE], rule(Completeness(0.9, step=MINUTE)), rule(Completeness(0.9, covered=True), "covered"))
    bench.feed([arrival for arrival in regular(0, 40) if arrival[1] >= T0 + 7 * MINUTE + 30 * SECOND])
    assert bench.alarms == []


def test_cover_is_judged_again_when_the_edge_of_the_window_has_come() -> None:
    """The series went quiet in the middle of the window; when it closed, the gap was not overdue for long."""
    bench = AlarmBench([GAUGE], rule(Completeness(0.8, covered=True, step=MINUTE)))
    bench.feed(regular(0, 2))
    bench.feed([(0, T0 + 2 * MINUTE + at * SECOND, 1.0) for at in range(0, 30, 5)])
    bench.fall_quiet()
    [alarm] = bench.alarms
    assert (alarm.start, alarm.raised, alarm.value) == (T0 + 2 * MINUTE, T0 + 3 * MINUTE, pytest.approx(25 / 60))


def test_an_emptying_that_comes_late_is_another_one_only_if_the_level_had_risen() -> None:
    bench = AlarmBench([GAUGE, LEVEL], rule(ContainerEmptied()))
    bench.feed([(1, T0, 50.0), (1, T0 + 100 * SECOND, 60.0)])
    # The bulk is ahead of the priority lane.
    bench.feed([], [(1, T0 + 40 * SECOND)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.CLEARED, *[T0 + 40 * SECOND] * 3)]
    # Again, and once more by the bulk: known.
    bench.feed([(1, T0 + 40 * SECOND, 0.0)], [(1, T0 + 40 * SECOND)])
    bench.reopen()
    bench.feed([], [(1, T0 + 50 * SECOND)])
    assert len(bench.alarms) == 1
    bench.feed([(1, T0 + 110 * SECOND, 70.0), (1, T0 + 120 * SECOND, 0.0), (1, T0 + 130 * SECOND, 0.0)])
    bench.feed([], [(1, T0 + 125 * SECOND), (1, T0 + 140 * SECOND)])
    assert len(bench.alarms) == 2
    bench.feed([(1, T0 + 150 * SECOND, 5.0)], [])
    bench.feed([], [(1, T0 + 160 * SECOND)])
    assert [alarm.start for alarm in bench.alarms] == [T0 + at * SECOND for at in (40, 120, 160)]
    assert [event.alarm.state for event in bench.store.alarms.events] == [State.RAISED, State.CLEARED] * 3


@pytest.mark.parametrize(
    ("tolerance", "values", "said"), [(0.5, (5.0, 5.5, 4.5, 5.4), "within 0.5 K of 5 K"), (0.0, (5.0,) * 4, "at 5 K")]
)
def test_a_flat_line_is_told_by_the_value_it_is_judged_by(
    tolerance: float, values: tuple[float, ...], said: str
) -> None:
    bench = AlarmBench([GAUGE], rule(FlatLine(30 * SECOND, tolerance)))
    bench.feed([(0, T0 + at * 10 * SECOND, value) for at, value in enumerate(values)])
    [alarm] = bench.alarms
    assert alarm.message.endswith(f" has stayed {said} for 30 s (2025-10-09 09:00:30 UTC)")
    assert alarm.value == values[-1]


def test_a_rule_judges_from_its_making_on() -> None:
    bench = AlarmBench([GAUGE])
    bench.feed([(0, T0, 9.0)])
    bench.create(rule(ABOVE))
    bench.create(rule(FlatLine(10 * SECOND), "flat"))
    # By the last value at once.
    assert [(alarm.rule, alarm.start) for alarm in bench.alarms] == [("rule", T0)]
    bench.feed([(0, T0, 9.0), (0, T0 - SECOND, 9.0)])
    bench.feed([(0, T0 + 10 * SECOND, 9.0)])
    # The line was flat before; who looks now sees it.
    assert sorted((alarm.rule, alarm.start) for alarm in bench.alarms) == [("flat", T0), ("rule", T0)]


def test_silence_that_began_before_the_rule_is_found_with_its_own_time() -> None:
    bench = AlarmBench([GAUGE])
    bench.feed([(0, T0, 9.0)])
    bench.create(rule(NoData(MINUTE)))
    assert bench.processor.alarms.deadline() == T0 + MINUTE
    bench.clock(T0 + MINUTE - 1)
    assert bench.alarms == []
    bench.clock(T0 + HOUR)
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, T0 + MINUTE, T0 + MINUTE, None)]
    assert bench.processor.alarms.deadline() is None


@pytest.mark.parametrize("reopened", [False, True])
def test_alarms_of_a_rule_that_is_gone_or_judges_otherwise_are_cleared(reopened: bool) -> None:
    bench = AlarmBench([GAUGE], rule(ABOVE, "gone"), rule(ABOVE, "moved"), rule(ABOVE, "kept"))
    pending = Threshold(above=True, limit=3.0, min_duration=HOUR)
    bench.create(rule(pending, "pending"))
    bench.feed([(0, T0, 9.0)])
    assert len(bench.alarms) == 4
    asyncio.run(bench.rule_store.delete("gone"))
    asyncio.run(bench.rule_store.delete("pending"))
    asyncio.run(bench.rule_store.update("moved", lambda now: replace(now, building="b9")))
    asyncio.run(bench.rule_store.update("kept", lambda now: replace(now, title="Another")))
    if reopened:
        bench.reopen()
    else:
        bench.learn()
    states = {alarm.rule: alarm.state for alarm in bench.alarms}
    assert states == {"gone": State.CLEARED, "moved": State.CLEARED, "kept": State.RAISED}
    bench.feed([(0, T0 + SECOND, 1.0)])
    assert {alarm.rule: alarm.state for alarm in bench.alarms}["kept"] is State.CLEARED
    told = [(one.alarm.rule, one.alarm.state) for one in bench.store.alarms.events]
    assert sorted(told) == sorted((name, state) for name in states for state in (State.RAISED, State.CLEARED))


def test_scopes() -> None:
    inside = {("", "", "t", ""), ("b", "", "t", ""), ("b", "r", "t", ""), ("b", "r", "t", "d"), ("", "", "t", "d")}
    assert inside <= set(scopes_of(SeriesKey("b", "r", "t", "d")))
    assert ("b", "", "t", "d") in scopes_of(SeriesKey("b", "r", "t", "d"))
    assert set(scopes_of(SeriesKey("b", "r", "t", ""))) == {("", "", "t", ""), ("b", "", "t", ""), ("b", "r", "t", "")}
    bench = AlarmBench([GAUGE], rule(ABOVE, "other", room="r2", building="b1"), rule(ABOVE, "here", device="d0"))
    bench.feed([(0, T0, 9.0)])
    assert [alarm.rule for alarm in bench.alarms] == ["here"]


def test_values_at_the_end_of_what_a_double_holds() -> None:
    bench = AlarmBench(
        [GAUGE], rule(Threshold(above=True, limit=-1e308, hysteresis=1e308)), rule(FlatLine(SECOND, 1e308), "flat")
    )
    bench.feed([(0, T0 + place * SECOND, value) for place, value in enumerate((1e308, -1e308, 1e308, 5e-324))])
    assert {alarm.rule for alarm in bench.alarms} == {"rule", "flat"}


def test_ids_are_in_the_order_of_time_and_the_same_again() -> None:
    ids = [alarm_id(1, 2, T0 + at * SECOND) for at in range(100)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 100
    assert alarm_id(1, 2, T0) == ids[0]
    assert len({ids[0], alarm_id(2, 2, T0), alarm_id(1, 3, T0), alarm_id(1, 2, T0, 1)}) == 4


@pytest.mark.parametrize(
    ("length", "expected"), [(90 * SECOND, "90 s"), (15 * MINUTE, "15 min"), (24 * HOUR, "1 d"), (1, "1e-06 s")]
)
def test_spans_for_people(length: int, expected: str) -> None:
    assert span(length) == expected
