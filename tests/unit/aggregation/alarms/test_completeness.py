"""Late readings are no reason to go on ringing: what a window that has changed means to an open alarm."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.aggregation.domain.alarms.alarm import Alarm, State
from services.aggregation.domain.alarms.rule import Completeness
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, Arrival, descriptor
from tests.support.aggregation.reference import window

pytestmark = pytest.mark.thorough

GAUGE = descriptor(0)
RECEIVED, COVERED = Completeness(0.9, step=MINUTE), Completeness(0.9, covered=True, step=MINUTE)
both_ratios = pytest.mark.parametrize("condition", [RECEIVED, COVERED], ids=["received", "covered"])


def sent(first: float, last: float) -> list[Arrival]:
    """A reading each five seconds of the minutes [first, last)."""
    return [(0, T0 + at * SECOND, 1.0) for at in range(int(first * 60), int(last * 60), 5)]


def facts(alarm: Alarm) -> tuple[State, int, int | None]:
    minute = None if alarm.cleared is None else (alarm.cleared - T0) // MINUTE
    return alarm.state, (alarm.start - T0) // MINUTE, minute


@both_ratios
def test_readings_that_come_late_clear_the_alarm_of_the_newest_window(condition: Completeness) -> None:
    bench = AlarmBench([GAUGE], rule(condition))
    bench.feed([*sent(0, 2.25), *sent(3.05, 3.5)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 2, None)]
    bench.reopen()
    # Not all of them yet.
    bench.feed(sent(2.25, 2.5))
    [alarm] = bench.alarms
    assert facts(alarm) == (State.RAISED, 2, None)
    assert alarm.last_value == pytest.approx(0.5, abs=0.1)
    bench.reopen()
    bench.feed(sent(2.5, 3.05))
    [alarm] = bench.alarms
    assert facts(alarm) == (State.CLEARED, 2, 3)
    assert [(event.alarm.state, event.value) for event in bench.store.alarms.events][-1] == (State.CLEARED, 1.0)
    bench.feed(sent(3.5, 6))
    assert len(bench.alarms) == 1


@both_ratios
def test_an_older_window_neither_clears_nor_raises(condition: Completeness) -> None:
    bench = AlarmBench([GAUGE], rule(condition))
    bench.feed([*sent(0, 2.25), *sent(3, 3.25), *sent(4.05, 4.5)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 2, None)]
    # The first of the two is complete now, the second is not.
    bench.feed(sent(2.25, 3))
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 2, None)]
    bench.feed(sent(3.25, 4.05))
    assert [facts(alarm) for alarm in bench.alarms] == [(State.CLEARED, 2, 4)]
    # A window in the past that nobody has judged: one reading in a hole.
    bench.feed(sent(10, 12.5))
    late = len(bench.alarms)
    bench.feed([(0, T0 + 7 * MINUTE, 1.0)])
    assert len(bench.alarms) == late


def test_windows_that_late_readings_make_after_the_one_that_raised_are_judged_in_the_order_of_time() -> None:
    bench = AlarmBench([GAUGE], rule(RECEIVED))
    bench.feed([*sent(0, 2.25), *sent(6.05, 6.5)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 2, None)]
    # The sensor sends what it had kept; the first window stays as bad as it was.
    bench.feed(sent(3, 4))
    assert [facts(alarm) for alarm in bench.alarms] == [(State.CLEARED, 2, 4)]


def test_what_came_before_the_first_window_and_what_closes_at_once_is_known() -> None:
    """Late readings, and those that close the next windows, in one batch: the next window goes on from there."""
    bench = AlarmBench([GAUGE], rule(COVERED))
    bench.feed([*sent(0.5, 0.75), *sent(1.05, 1.5)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 0, None)]
    bench.feed([*sent(0.75, 1.05), *sent(1.5, 1.6), *sent(2.3, 2.6), *sent(3, 4.25)])
    assert [facts(alarm) for alarm in bench.alarms] == [(State.CLEARED, 0, 1), (State.CLEARED, 1, 4)]


def test_recomputing_clears_it_too() -> None:
    bench = AlarmBench([GAUGE], rule(RECEIVED), rules=Rules(lateness=10 * SECOND))
    bench.feed([*sent(0, 2.25), *sent(3.05, 3.5)])
    bench.feed(sent(2.25, 3.05))
    assert [facts(alarm) for alarm in bench.alarms] == [(State.RAISED, 2, None)]
    bench.recompute(1, include_too_late=True)
    assert [facts(alarm) for alarm in bench.alarms] == [(State.CLEARED, 2, 3)]


lengths = st.integers(0, 119)


@settings(max_examples=30)
@given(
    lost=st.sets(lengths, max_size=70),
    batches=st.lists(st.integers(1, 25), min_size=1, max_size=12),
    again=st.lists(st.sampled_from([True, False]), min_size=1, max_size=12),
    level=st.booleans(),
    covered=st.booleans(),
    takeovers=st.sets(st.integers(0, 12)),
)
def test_an_alarm_is_never_open_while_the_newest_window_judged_is_good(
    lost: set[int], batches: list[int], again: list[bool], level: bool, covered: bool, takeovers: set[int]
) -> None:
    """Ten minutes, of which some readings come later or never."""
    kind = Kind.LEVEL if level else Kind.GAUGE
    bench = AlarmBench([descriptor(0, kind)], rule(Completeness(0.9, covered=covered, step=MINUTE)))
    kept: dict[int, Fraction] = {}
    waiting: list[int] = []
    at = 0
    for number, size in enumerate(batches):
        fresh = list(range(at, min(at + size, 120)))
        at += size
        arriving = [place for place in fresh if place not in lost]
        waiting += [place for place in fresh if place in lost]
        if again[number % len(again)] and arriving:
            arriving, waiting = [*arriving, *waiting], []
        batch: list[Arrival] = [(0, T0 + place * 5 * SECOND, 1.0) for place in arriving]
        if not batch:
            continue
        bench.feed(batch)
        kept.update({time: Fraction(1) for _, time, _ in batch})
        if number in takeovers:
            bench.reopen()
        _good_is_silent(bench, kept, kind, covered=covered)


def _good_is_silent(bench: AlarmBench, kept: dict[int, Fraction], kind: Kind, *, covered: bool) -> None:
    if not any(alarm.open for alarm in bench.alarms):
        return
    opened = bench.processor.engine.states.rows["open"][0, 0]
    judged = [start for _, step, start in bench.store.windows if step == MINUTE and start < opened["start"]]
    if not judged or opened["revision"]:
        return
    newest = max(judged)
    expected = window(kept, int(kind), 15 * SECOND, newest, newest + MINUTE)
    assert expected is not None
    length = newest + MINUTE - max(newest, min(kept))
    if covered:
        assert expected.covered / length < 0.9
    else:
        assert expected.count / (length / (5 * SECOND)) < 0.9
