"""Alarms after readings were amended: as if they had come like this, and nobody is told twice."""

from dataclasses import replace

import pytest

from services.aggregation.domain.alarms.alarm import Cause, State
from services.aggregation.domain.alarms.rule import (
    Condition,
    ContainerEmptied,
    ContainerFull,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, MINUTE
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor

GAUGE, LEVEL, METER = descriptor(0), descriptor(0, Kind.LEVEL, 0), descriptor(0, Kind.COUNTER, MINUTE)
HOT = rule(Threshold(True, 10))


def fed(condition: Condition, *values: float, kind: Kind = Kind.GAUGE) -> AlarmBench:
    """A reading a minute."""
    bench = AlarmBench([descriptor(0, kind, MINUTE)], rule(condition))
    for at, value in enumerate(values):
        bench.feed([(0, T0 + at * MINUTE, value)], accepted=T0 + at * MINUTE)
    return bench


def states(bench: AlarmBench) -> list[tuple[State, Cause]]:
    return [(alarm.state, alarm.cause) for alarm in bench.alarms]


def told(bench: AlarmBench) -> list[State]:
    return [event.alarm.state for event in bench.store.alarms.events]


NONE = [(State.CLEARED, Cause.READING_AMENDED)]


@pytest.mark.parametrize("value", [None, 5.0], ids=["voided", "replaced"])
@pytest.mark.parametrize("quiet", [False, True])
def test_an_alarm_whose_cause_is_gone_is_over(value: float | None, quiet: bool) -> None:
    bench = fed(Threshold(True, 10), 1, 2, 30)
    if quiet:
        bench.fall_quiet()
    bench.amend(1, T0 + 2 * MINUTE, value)
    assert states(bench) == NONE
    assert told(bench) == [State.RAISED, State.CLEARED]
    bench.reopen()
    assert states(bench) == NONE
    # And it comes again with the next one, once.
    bench.feed([(0, T0 + 3 * MINUTE, 31.0)], accepted=T0 + 3 * MINUTE)
    assert [alarm.start for alarm in bench.alarms if alarm.state == State.RAISED] == [T0 + 3 * MINUTE]
    assert told(bench) == [State.RAISED, State.CLEARED, State.RAISED]


def test_an_alarm_that_stands_on_other_readings_goes_on() -> None:
    bench = fed(Threshold(True, 10), 1, 20, 90, 21)
    bench.amend(1, T0 + 2 * MINUTE, None)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.start, alarm.extreme, alarm.last_value) == (State.RAISED, T0 + MINUTE, 21.0, 21.0)
    assert told(bench) == [State.RAISED]
    # Also when the first one was the wrong one.
    bench.amend(1, T0 + MINUTE, None)
    assert states(bench) == [(State.RAISED, Cause.NONE)]
    assert told(bench) == [State.RAISED]


def test_an_alarm_that_is_due_only_now_is_raised_once() -> None:
    bench = fed(Threshold(True, 10), 1, 2, 3)
    bench.amend(1, T0 + MINUTE, 30.0)
    assert states(bench) == []
    bench.amend(1, T0 + 2 * MINUTE, 30.0)
    assert [(alarm.state, alarm.start) for alarm in bench.alarms] == [(State.RAISED, T0 + MINUTE)]
    bench.reopen()
    bench.amend(1, T0 + 2 * MINUTE, 31.0)
    assert told(bench) == [State.RAISED]
    # There and back: another occasion of the same start.
    bench.amend(1, T0 + 2 * MINUTE, None)
    bench.amend(1, T0 + 2 * MINUTE, 40.0)
    assert [one for one in states(bench) if one[0] != State.CLEARED] == [(State.RAISED, Cause.NONE)]
    assert len({alarm.id for alarm in bench.alarms}) == len(bench.alarms)


@pytest.mark.parametrize(
    ("condition", "values", "wrong", "kind"),
    [
        (Threshold(True, 10, min_duration=2 * MINUTE), (1, 20, 20, 20), 2, Kind.GAUGE),
        (Threshold(False, 10, hysteresis=5), (30, 5, 12, 13), 1, Kind.GAUGE),
        (FlatLine(2 * MINUTE), (5, 5, 5, 5), 1, Kind.GAUGE),
        (RateOfChange(600), (1, 2, 60), 2, Kind.GAUGE),
        (RateOfChange(600, over=2 * MINUTE), (1, 2, 3, 60), 3, Kind.GAUGE),
        (ContainerFull(80), (10, 20, 90), 2, Kind.LEVEL),
        (Threshold(True, 109.5), tuple(range(100, 111)), 10, Kind.COUNTER),
    ],
    ids=str,
)
def test_every_kind_about_values(condition: Condition, values: tuple[float, ...], wrong: int, kind: Kind) -> None:
    bench = fed(condition, *values, kind=kind)
    assert states(bench) == [(State.RAISED, Cause.NONE)]
    right = [*values]
    right[wrong] = 42.0 if isinstance(condition, FlatLine) else values[wrong - 1]
    bench.amend(1, T0 + wrong * MINUTE, right[wrong])
    expected = [alarm for alarm in fed(condition, *right, kind=kind).alarms if alarm.state != State.CLEARED]
    left = [alarm for alarm in bench.alarms if alarm.state != State.CLEARED]
    assert [(alarm.state, alarm.start) for alarm in left] == [(alarm.state, alarm.start) for alarm in expected]
    if not expected:
        assert states(bench) == NONE


def test_what_is_long_over_tells_nobody() -> None:
    bench = fed(Threshold(True, 10), 1, 20, 2, 3)
    assert told(bench) == [State.RAISED, State.CLEARED]
    bench.amend(1, T0 + MINUTE, None)
    bench.amend(1, T0 + 2 * MINUTE, 25.0)
    assert told(bench) == [State.RAISED, State.CLEARED]


def test_that_something_was_heard_does_not_change() -> None:
    bench = fed(NoData(5 * MINUTE), 1, 2)
    bench.clock(T0 + 6 * MINUTE)
    assert states(bench) == [(State.RAISED, Cause.NONE)]
    bench.amend(1, T0 + MINUTE, None)
    assert states(bench) == [(State.RAISED, Cause.NONE)]


def test_an_alarm_that_began_before_what_is_looked_at_is_left_alone() -> None:
    bench = AlarmBench([GAUGE], HOT)
    bench.feed([(0, T0, 20.0)], accepted=T0)
    late = T0 + 200 * HOUR
    bench.feed([(0, late, 21.0), (0, late + MINUTE, 22.0)], accepted=late)
    bench.amend(1, late, None)
    assert states(bench) == [(State.RAISED, Cause.NONE)]


def test_a_rule_that_is_disabled_is_not_tried() -> None:
    bench = AlarmBench([GAUGE], replace(HOT, disabled=True))
    bench.feed([(0, T0, 1.0)], accepted=T0)
    bench.amend(1, T0, 20.0)
    assert bench.alarms == []


def revocations(bench: AlarmBench) -> list[tuple[str, str] | None]:
    return [None if one.revocation is None else one.revocation[1:] for one in bench.alarms]


SOMEBODY = ("somebody", "a test")


@pytest.mark.parametrize("value", [None, 5.0], ids=["voided", "replaced"])
def test_an_alarm_that_is_over_and_was_none_is_marked_and_nobody_is_told(value: float | None) -> None:
    bench = fed(Threshold(True, 10), 1, 20, 2, 3)
    bench.amend(1, T0 + MINUTE, value)
    assert states(bench) == [(State.CLEARED, Cause.CONDITION_ENDED)]
    assert revocations(bench) == [SOMEBODY]
    assert told(bench) == [State.RAISED, State.CLEARED]
    # After all it was one.
    bench.amend(1, T0 + MINUTE, 25.0)
    assert revocations(bench) == [None]
    assert told(bench) == [State.RAISED, State.CLEARED]


def test_an_alarm_that_is_over_and_stands_on_other_readings_is_not_marked() -> None:
    bench = fed(Threshold(True, 10), 1, 20, 21, 2, 3, 30, 4)
    bench.amend(1, T0 + MINUTE, None)
    assert revocations(bench) == [None, None]
    bench.amend(1, T0 + 2 * MINUTE, 1.0)
    assert revocations(bench) == [SOMEBODY, None]
    # Readings that are none of its business.
    bench.amend(1, T0 + 4 * MINUTE, 2.0)
    bench.amend(1, T0, None)
    assert revocations(bench) == [SOMEBODY, None]


def test_an_alarm_that_ends_by_the_amendment_says_by_whom() -> None:
    bench = fed(Threshold(True, 10), 1, 2, 30)
    bench.amend(1, T0 + 2 * MINUTE, None)
    assert (states(bench), revocations(bench)) == (NONE, [SOMEBODY])


def test_an_emptied_container_that_was_none_is_marked() -> None:
    bench = fed(ContainerEmptied(), 40, 50, 0, 20, kind=Kind.LEVEL)
    assert states(bench) == [(State.CLEARED, Cause.CONDITION_ENDED)]
    bench.amend(1, T0 + 2 * MINUTE, None)
    assert revocations(bench) == [SOMEBODY]


def test_an_alarm_of_long_ago_is_marked_though_newer_readings_are_weeks_away() -> None:
    bench = AlarmBench([GAUGE], HOT)
    bench.feed([(0, T0, 1.0), (0, T0 + MINUTE, 20.0), (0, T0 + 2 * MINUTE, 1.0)], accepted=T0)
    late = T0 + 1000 * HOUR
    bench.feed([(0, late, 1.0)], accepted=late)
    bench.amend(1, T0 + MINUTE, None)
    assert revocations(bench) == [SOMEBODY]


def test_who_closed_it_by_hand_sees_that_it_was_none() -> None:
    bench = fed(Threshold(True, 10), 1, 20)
    bench.close(bench.alarms[0].id)
    bench.amend(1, T0 + MINUTE, None)
    assert [(alarm.cause, alarm.revocation is not None) for alarm in bench.alarms] == [(Cause.CLOSED_BY_HAND, True)]
    assert told(bench) == [State.RAISED, State.CLEARED]


def test_a_decision_about_a_reading_of_a_meter_marks_what_it_had_raised() -> None:
    bench = fed(Threshold(True, 109.5), *range(100, 111), kind=Kind.COUNTER)
    bench.fall_quiet()
    assert states(bench) == [(State.RAISED, Cause.NONE)]
    bench.decide(1, T0 + 10 * MINUTE, Decision("GLITCH"))
    assert states(bench) == NONE
    assert [alarm.revocation is not None for alarm in bench.alarms] == [True]


def test_an_alarm_that_is_older_than_what_is_looked_at_goes_by_what_has_come_since() -> None:
    bench = AlarmBench([GAUGE], HOT)
    bench.feed([(0, T0, 20.0)], accepted=T0)
    late = T0 + 200 * HOUR
    bench.feed([(0, late, 21.0)], accepted=late)
    bench.amend(1, late, 5.0)
    # The device says nothing any more: nothing else would end it.
    assert (states(bench), told(bench)) == (NONE, [State.RAISED, State.CLEARED])


def test_where_nothing_is_left_of_all_that_is_looked_at_the_last_reading_before_it_counts() -> None:
    bench = AlarmBench([GAUGE], HOT)
    bench.feed([(0, T0, 1.0), (0, T0 + HOUR, 20.0)], accepted=T0)
    late = T0 + 200 * HOUR
    bench.feed([(0, late, 21.0)], accepted=late)
    bench.amend(1, late, None)
    assert states(bench) == [(State.RAISED, Cause.NONE)]
    bench.amend(1, T0 + HOUR, None)
    assert states(bench) == NONE
