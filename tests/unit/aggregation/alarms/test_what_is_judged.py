"""Which values alarms are raised by: of counters those that are accepted, of levels those that stand; and old ones tell
nobody."""

import pytest

from services.aggregation.adapters.nats.alarm_events import alarm_events
from services.aggregation.domain.alarms.alarm import DISPROVED, State
from services.aggregation.domain.alarms.rule import (
    Condition,
    ContainerFull,
    Direction,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor
from tocsin.events.v1.alarms_pb2 import AlarmNotice

COUNTER = descriptor(0, Kind.COUNTER, MINUTE)
LEVEL = descriptor(0, Kind.LEVEL, 0)
GAUGE = descriptor(0, Kind.GAUGE, 0)


def values(*readings: float) -> list[tuple[int, int, float]]:
    return [(0, T0 + place * MINUTE, value) for place, value in enumerate(readings)]


@pytest.mark.parametrize("together", [True, False], ids=["in a batch", "one by one"])
@pytest.mark.parametrize(
    "condition",
    [RateOfChange(100_000, Direction.RISING), RateOfChange(100_000), Threshold(above=False, limit=10)],
    ids=str,
)
def test_a_glitch_of_a_counter_raises_nothing(condition: Condition, together: bool) -> None:
    bench = AlarmBench([COUNTER], rule(condition))
    readings = values(50_000, 50_010, 0, 50_030, 50_040)
    for batch in [readings] if together else [[one] for one in readings]:
        bench.feed(batch)
    bench.reopen()
    assert bench.alarms == []


def test_what_a_counter_counts_does_raise_an_alarm() -> None:
    bench = AlarmBench([COUNTER], rule(RateOfChange(500, Direction.RISING)), rule(Threshold(True, 50_040), "over"))
    for one in values(50_000, 50_010, 50_020, 0, 50_030, 50_045, 50_060):
        bench.feed([one])
    assert {alarm.rule for alarm in bench.alarms} == {"over", "rule"}


@pytest.mark.parametrize("over", [0, 2 * MINUTE], ids=["neighbours", "over 2 min"])
def test_a_register_that_runs_over_counts_on(over: int) -> None:
    """From 99,990 over the end to 10: 20 in a minute are 1,200 an hour, and no fall."""
    meter = COUNTER._replace(counting=CounterRules(Policy.ROLLOVER, 100_000))
    falling, rising = RateOfChange(1000, Direction.FALLING, over), RateOfChange(1000, Direction.RISING, over)
    bench = AlarmBench([meter], rule(falling, "falling"), rule(rising, "rising"))
    for one in values(99_950, 99_970, 99_990, 10, 30, 50, 70, 90, 110):
        bench.feed([one])
    assert {alarm.rule for alarm in bench.alarms} == {"rising"}
    assert all(alarm.open for alarm in bench.alarms)


def test_a_counter_that_sends_what_is_not_accepted_is_not_silent() -> None:
    rejecting = COUNTER._replace(counting=CounterRules(Policy.REJECT))
    bench = AlarmBench([rejecting], rule(NoData(2 * MINUTE)))
    for one in values(100, 0, 0, 0):
        bench.feed([one])
    bench.clock(T0 + 4 * MINUTE)
    assert bench.alarms == []
    bench.clock(T0 + 5 * MINUTE)
    assert len(bench.alarms) == 1


@pytest.mark.parametrize(
    ("kind", "holds", "raised"), [(LEVEL, False, True), (GAUGE, True, True), (GAUGE, False, False)]
)
def test_a_value_that_stands_meets_its_duration_by_the_clock(kind: object, holds: bool, raised: bool) -> None:
    bench = AlarmBench([kind], rule(Threshold(True, 10, min_duration=5 * SECOND, holds=holds)))  # pyright: ignore
    bench.feed([(0, T0, 11.0)])
    bench.clock(T0 + 5 * SECOND - 1)
    bench.reopen()
    assert [alarm.state for alarm in bench.alarms] == [State.PENDING]
    assert bench.processor.alarms.deadline() == (T0 + 5 * SECOND if raised else None)
    bench.clock(T0 + HOUR)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.raised) == ((State.RAISED, T0 + 5 * SECOND) if raised else (State.PENDING, None))
    assert len(bench.store.alarms.events) == raised
    bench.feed([(0, T0 + HOUR, 9.0)])
    assert [alarm.open for alarm in bench.alarms] == ([False] if raised else [])


def test_a_value_that_is_back_in_time_raises_nothing_by_the_clock() -> None:
    bench = AlarmBench([LEVEL], rule(Threshold(True, 10, min_duration=5 * SECOND)))
    bench.feed([(0, T0, 11.0)])
    bench.feed([(0, T0 + 4 * SECOND, 9.0)])
    bench.clock(T0 + HOUR)
    assert bench.alarms == []


def test_old_values_raise_marked_alarms_that_tell_nobody() -> None:
    """An import of two months ago over a rule."""
    now = T0 + 60 * 24 * HOUR
    bench = AlarmBench([GAUGE], rule(Threshold(True, 10), tenant="test", notify=("ann",)))
    bench.feed([(0, T0, 50.0), (0, T0 + MINUTE, 51.0)], accepted=now)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.historical) == (State.RAISED, True)
    bench.feed([(0, T0 + 2 * MINUTE, 5.0)], accepted=now)
    assert [(event.alarm.state, event.alarm.historical) for event in bench.store.alarms.events] == [
        (State.RAISED, True),
        (State.CLEARED, True),
    ]


def test_what_began_long_ago_and_lasts_is_told_when_it_is_news() -> None:
    now = T0 + 2 * HOUR
    bench = AlarmBench([GAUGE], rule(Threshold(True, 10)))
    bench.feed([(0, T0, 50.0)], accepted=now)
    bench.reopen()
    bench.feed([(0, now - HOUR - 1, 50.0)], accepted=now)
    assert bench.alarms[0].historical
    for _ in range(2):
        bench.feed([(0, now, 50.0)], accepted=now)
        now += SECOND
    [alarm] = bench.alarms
    assert not alarm.historical
    assert [(event.alarm.historical, event.again) for event in bench.store.alarms.events] == [
        (True, False),
        (False, True),
    ]


def test_how_long_the_service_was_away_makes_nothing_old() -> None:
    """What counts is how old a value was when it was accepted."""
    bench = AlarmBench([GAUGE], rule(Threshold(True, 10)))
    bench.feed([(0, T0, 50.0)], accepted=T0 + SECOND)
    assert not bench.alarms[0].historical


@pytest.mark.parametrize("condition", [Threshold(False, 20), ContainerFull(5)], ids=str)
def test_a_rule_judges_at_once_by_the_last_value(condition: Condition) -> None:
    bench = AlarmBench([LEVEL])
    bench.feed([(0, T0, 19.0)])
    made = bench.create(rule(condition, disabled=True))
    assert bench.alarms == []
    bench.change(made.id, disabled=False)
    [alarm] = bench.alarms
    assert (alarm.state, alarm.raised, alarm.value) == (State.RAISED, T0, 19.0)
    # Once: others that come later change nothing.
    bench.create(rule(NoData(HOUR), "other"))
    bench.reopen()
    assert len(bench.store.alarms.events) == 1


@pytest.mark.parametrize(
    "readings",
    [
        (50_000, 50_010, 50_020, 0, 0, 0, 50_030, 50_040),
        (50_000, 50_010, 50_020, 90_000, 50_030, 50_040),
        (50_000, 50_010, 50_020, 90_000, 90_000.5, 90_001, 50_030, 50_040),
    ],
    ids=str,
)
def test_what_may_be_taken_back_raises_nothing(readings: tuple[float, ...]) -> None:
    bounds = [
        rule(Threshold(False, 10), "low"),
        rule(Threshold(True, 60_000), "high"),
        rule(RateOfChange(1000), "rate"),
    ]
    bench = AlarmBench([COUNTER], *bounds)
    for one in values(*readings):
        bench.feed([one])
    bench.reopen()
    assert bench.alarms == []


@pytest.mark.parametrize("cleared", [True, False])
def test_people_are_told_of_the_end_where_the_rule_says_so(cleared: bool) -> None:
    made = rule(Threshold(True, 10), title="Too hot", tenant="test", notify=("ann",), notify_cleared=cleared)
    bench = AlarmBench([GAUGE], made)
    bench.feed([(0, T0, 11.0)])
    bench.feed([(0, T0 + MINUTE, 9.0)])
    bench.feed([(0, T0 + 2 * MINUTE, 12.0)])
    bench.change(made.id, disabled=True)
    notices = [
        event.message
        for event in alarm_events(bench.store.alarms.events)
        if event.subject.endswith("notices.v1.raised")
    ]
    told = [(one.title, one.cleared) for one in notices if isinstance(one, AlarmNotice)]
    assert told == ([("Too hot", False), ("Over: Too hot", True)] * 2 if cleared else [("Too hot", False)] * 2)
    if cleared:
        bodies = [one.body for one in notices]
        assert bodies[1].startswith("it is over (2025-10-09 09:01:00 UTC). It had been: temperature in b1/r1")
        assert bodies[3].startswith("the rule was changed, disabled or deleted (")


REVOKED = (100, 101, 102, 9990, 9991, 9992, 0, 103, 104, 105, 106)


def test_an_alarm_by_a_value_that_a_meter_revokes_is_marked_and_no_value_in_doubt_raises_any() -> None:
    """The step up has counted before a zero comes; then values go on from before it."""
    high, low = rule(Threshold(True, 9000), "high"), rule(Threshold(False, 50), "low")
    bench = AlarmBench([COUNTER], high, low, rule(NoData(HOUR), "quiet"))
    for one in values(*REVOKED):
        bench.feed([one])
    bench.fall_quiet()
    [alarm] = bench.alarms
    assert (alarm.rule, alarm.value, alarm.state) == ("high", 9992.0, State.CLEARED)
    assert alarm.revocation is not None
    assert alarm.revocation[1:] == ("", DISPROVED)
    assert [event.alarm.state for event in bench.store.alarms.events] == [State.RAISED, State.CLEARED]


@pytest.mark.parametrize(
    ("readings", "trusted"),
    [
        # Two restarts in a row: the first was trusted when the second came.
        ((500, 510, 520, 3, 8, 13, 18, 2, 7, 530, 540, 550), 1),
        ((500, 510, 520, 3, 8, 13, 18, 2, 7, 9, 11, 13, 530, 540), 1),
        ((500, 510, 520, 3, 8, 13, 530, 540, 550), 0),
        ((100, 110, 120, 125, 122, 123, 124, 130, 135, 140), 0),
    ],
)
def test_while_a_meter_is_in_doubt_nothing_rings_and_what_it_revokes_is_marked(
    readings: tuple[float, ...], trusted: int
) -> None:
    bench = AlarmBench([COUNTER], rule(Threshold(False, 99), "low"), rule(RateOfChange(10_000, Direction.FALLING)))
    for one in values(*readings):
        bench.feed([one])
    bench.fall_quiet()
    assert [alarm.revocation is not None for alarm in bench.alarms] == [True] * trusted


def test_an_alarm_that_a_meter_does_not_revoke_stays_unmarked() -> None:
    bench = AlarmBench([COUNTER], rule(Threshold(True, 101.5)))
    for one in values(100, 101, 102, 0, 103, 104, 105):
        bench.feed([one])
    bench.fall_quiet()
    assert [(alarm.open, alarm.revocation) for alarm in bench.alarms] == [(True, None)]


def test_another_owner_takes_no_value_for_new_that_was_judged_already() -> None:
    """A step that was believed is trusted by what comes next, which has not settled yet."""
    bench = AlarmBench([COUNTER], rule(FlatLine(5 * MINUTE, 0)))
    for at, value in ((5, 105.0), (6, 106.0), (11, 0.0), (12, 106.0), (13, 111.0)):
        bench.feed([(0, T0 + at * MINUTE, value)])
        bench.reopen()
    assert [(alarm.start, alarm.raised) for alarm in bench.alarms] == [(T0 + 6 * MINUTE, T0 + 12 * MINUTE)]
