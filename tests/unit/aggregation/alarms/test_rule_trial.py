"""What a rule would have raised, tried on what is stored."""

import asyncio

import pytest

from services.aggregation.adapters.memory.history import InMemoryHistory
from services.aggregation.application.alarms import rule_trial
from services.aggregation.application.alarms.rule_trial import RuleTrial, TrialResult
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Completeness,
    Condition,
    ContainerFull,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import DAY, HOUR, MINUTE, SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, Arrival, descriptor

GAUGE, LEVEL = descriptor(0, Kind.GAUGE, MINUTE), descriptor(0, Kind.LEVEL, 0)
NOW = T0 + 2 * HOUR


def tried(bench: AlarmBench, one: AlarmRule, since: int | None = T0) -> TrialResult:
    trial = RuleTrial(InMemoryHistory(bench.store), bench.rules, lambda: NOW)
    return asyncio.run(trial.run(one, since))


def wave() -> list[Arrival]:
    """20 and 0 in turn for a quarter of an hour each, with a gap of half an hour."""
    return [(0, T0 + at * MINUTE, float(at // 15 % 2 * 20)) for at in range(120) if not 40 <= at < 70]


@pytest.mark.parametrize(
    "condition",
    [
        Threshold(True, 10),
        Threshold(True, 10, min_duration=5 * MINUTE),
        FlatLine(10 * MINUTE),
        FlatLine(10 * MINUTE, holds=True),
        FlatLine(20 * MINUTE, holds=True),
        RateOfChange(100),
        NoData(10 * MINUTE),
        NoData(90 * SECOND),
        ContainerFull(15),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [GAUGE, LEVEL], ids=["gauge", "level"])
def test_a_trial_says_what_the_rule_has_raised(kind: Descriptor, condition: Condition) -> None:
    """The same rule, judging what comes in as it comes."""
    made = rule(condition)
    bench = AlarmBench([kind], made)
    for one in wave():
        bench.clock(one[1] - 1)
        bench.feed([one], accepted=one[1])
    bench.clock(NOW - 1)
    found = tried(bench, made)
    raised = [alarm for alarm in bench.alarms if alarm.raised is not None]
    assert (found.raised, found.complete) == (len(raised), True)
    shown = [(alarm.start, alarm.raised, alarm.message) for alarm in reversed(found.alarms)]
    assert shown == [(alarm.start, alarm.raised, alarm.message) for alarm in raised][-20:]


def test_windows_that_were_not_complete_are_counted() -> None:
    bench = AlarmBench([GAUGE])
    bench.feed(wave())
    assert tried(bench, rule(Completeness(0.5, step=15 * MINUTE))).raised == 1


def test_glitches_of_counters_count_for_nothing() -> None:
    meter = descriptor(0, Kind.COUNTER, MINUTE)._replace(counting=CounterRules(Policy.RESET))
    bench = AlarmBench([meter])
    bench.feed([(0, T0 + at * MINUTE, value) for at, value in enumerate((50_000.0, 50_010, 0, 50_030, 50_040))])
    assert tried(bench, rule(RateOfChange(100_000))).raised == 0
    assert tried(bench, rule(NoData(HOUR))).raised == 1


def test_a_trial_knows_what_people_have_said() -> None:
    bench = AlarmBench([GAUGE])
    bench.feed([(0, T0 + at * MINUTE, 20.0 if at in (3, 7) else 1.0) for at in range(20)])
    hot = rule(Threshold(True, 10))
    assert tried(bench, hot).raised == 2
    bench.amend(1, T0 + 3 * MINUTE, None)
    assert tried(bench, hot).raised == 1
    bench.amend(1, T0 + 7 * MINUTE, 2.0)
    bench.amend(1, T0 + 9 * MINUTE, 30.0)
    assert [alarm.start for alarm in tried(bench, hot).alarms] == [T0 + 9 * MINUTE]
    meter = descriptor(0, Kind.COUNTER, MINUTE)
    steep = rule(RateOfChange(70))
    bench = AlarmBench([meter])
    bench.feed([(0, T0 + at * MINUTE, 100.0 + at) for at in range(12)])
    assert tried(bench, steep).raised == 0
    bench.store.decide(1, T0 + 4 * MINUTE, Decision("VALUE", 104.5))
    assert [alarm.start for alarm in tried(bench, steep).alarms] == [T0 + 4 * MINUTE]


def test_a_trial_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = AlarmBench([descriptor(n) for n in range(3)])
    bench.feed([(n, T0 + at * SECOND, 20.0) for n in range(3) for at in range(10)])
    hot = rule(Threshold(True, 10))
    assert (tried(bench, hot).raised, tried(bench, hot).complete) == (3, True)
    for name, value in (("MAX_SERIES", 2), ("MAX_READINGS", 25)):
        with monkeypatch.context() as patch:
            patch.setattr(rule_trial, name, value)
            found = tried(bench, hot)
            assert (found.raised, found.series, found.complete) == (2, 2, False)
    monkeypatch.setattr(rule_trial, "_MAX_STEPS", 3)
    assert not tried(bench, rule(NoData(SECOND))).complete


@pytest.mark.parametrize("since", [NOW, NOW + 1, NOW - 31 * DAY - 1])
def test_a_trial_looks_back_and_not_too_far(since: int) -> None:
    with pytest.raises(FieldInvalid):
        tried(AlarmBench([GAUGE]), rule(NoData(HOUR)), since)


def test_a_trial_may_look_back_as_far_as_it_says() -> None:
    assert tried(AlarmBench([GAUGE]), rule(NoData(HOUR), building="elsewhere"), NOW - 31 * DAY).complete


def test_nothing_in_the_scope_is_nothing_raised() -> None:
    found = tried(AlarmBench([GAUGE]), rule(NoData(HOUR), building="elsewhere"))
    assert (found.raised, found.series, found.complete) == (0, 0, True)
