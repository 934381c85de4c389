"""Flat lines of values that stand until the next one: met by the clock."""

import pytest

from services.aggregation.domain.alarms.alarm import State
from services.aggregation.domain.alarms.rule import FlatLine
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import HOUR, MINUTE
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor

GAUGE, LEVEL = descriptor(0), descriptor(0, Kind.LEVEL, 0)


@pytest.mark.parametrize(("kind", "holds"), [(LEVEL, False), (GAUGE, True)], ids=["level", "gauge that holds"])
def test_no_other_reading_has_to_come(kind: Descriptor, holds: bool) -> None:
    bench = AlarmBench([kind], rule(FlatLine(10 * MINUTE, holds=holds)))
    bench.feed([(0, T0, 5.0)], accepted=T0)
    assert bench.processor.alarms.deadline() == T0 + 10 * MINUTE
    bench.clock(T0 + 10 * MINUTE - 1)
    assert bench.alarms == []
    bench.clock(T0 + 10 * MINUTE)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.start, alarm.raised) == (State.RAISED, T0, T0 + 10 * MINUTE)
    assert (alarm.value, alarm.historical) == (5.0, False)
    assert bench.processor.alarms.deadline() is None
    bench.reopen()
    # The same once more: it lasts. Another one: it is over.
    bench.feed([(0, T0 + 12 * MINUTE, 5.0)], accepted=T0 + 12 * MINUTE)
    bench.clock(T0 + 40 * MINUTE)
    assert [one.state for one in bench.alarms] == [State.RAISED]
    bench.feed([(0, T0 + 41 * MINUTE, 6.0)], accepted=T0 + 41 * MINUTE)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.cleared) == (State.CLEARED, T0 + 41 * MINUTE)
    assert bench.processor.alarms.deadline() == T0 + 51 * MINUTE


def test_the_run_began_with_the_first_of_the_same_values() -> None:
    bench = AlarmBench([LEVEL], rule(FlatLine(10 * MINUTE, tolerance=0.5)))
    for at, value in ((0, 3.0), (1, 5.0), (4, 5.2), (7, 4.8)):
        bench.feed([(0, T0 + at * MINUTE, value)], accepted=T0 + at * MINUTE)
    bench.reopen()
    assert bench.processor.alarms.deadline() == T0 + 11 * MINUTE
    bench.clock(T0 + 11 * MINUTE)
    [alarm] = bench.alarms
    assert (alarm.start, alarm.raised, alarm.value) == (T0 + MINUTE, T0 + 11 * MINUTE, 4.8)


def test_others_are_confirmed_by_a_reading() -> None:
    bench = AlarmBench([GAUGE], rule(FlatLine(10 * MINUTE)))
    bench.feed([(0, T0, 5.0)], accepted=T0)
    assert bench.processor.alarms.deadline() is None
    bench.clock(T0 + HOUR)
    assert bench.alarms == []


def test_time_in_which_nothing_could_be_taken_counts_for_nothing() -> None:
    bench = AlarmBench([LEVEL], rule(FlatLine(10 * MINUTE)))
    bench.feed([(0, T0, 5.0)], accepted=T0)
    back = T0 + 9 * MINUTE
    bench.processor.alarms.resume(back)
    # No longer than the grace: five minutes, or three intervals.
    due = bench.processor.alarms.deadline()
    assert due is not None
    assert back + 5 * MINUTE <= due <= back + 10 * MINUTE
    bench.clock(due)
    assert [alarm.raised for alarm in bench.alarms] == [due]


def test_a_rule_that_comes_later_finds_what_has_stood_for_long() -> None:
    bench = AlarmBench([LEVEL])
    bench.feed([(0, T0, 5.0)], accepted=T0)
    bench.create(rule(FlatLine(10 * MINUTE)))
    bench.clock(T0 + 5 * HOUR)
    assert [(alarm.state, alarm.start) for alarm in bench.alarms] == [(State.RAISED, T0)]
