"""Limits in the unit in which people give them; those that never or always ring, and unknown tenants, are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from services.aggregation.adapters.grpc import alarm_mappers as to
from services.aggregation.adapters.memory.alarm_stores import InMemoryAlarmRuleStore
from services.aggregation.application.alarms.alarm_rules import AlarmRules
from services.aggregation.domain.alarms.rule import AlarmRule, Condition, FlatLine, RateOfChange, Threshold
from services.aggregation.domain.errors import FieldInvalid, TenantUnknown
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.times import MINUTE
from services.chassis.auth import principal
from services.chassis.units import conversion
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor
from tocsin.aggregation.v1 import alarm_pb2 as am
from tocsin.aggregation.v1 import alarm_service_pb2 as pb

TYPES = {
    "temperature": SensorTypeInfo("temperature", "K", 0.0),
    "humidity": SensorTypeInfo("humidity", "%", 0.0, 100.0),
}


class Types:
    async def sensor_types(self) -> Mapping[str, SensorTypeInfo]:
        return TYPES


@pytest.fixture
def desk() -> AlarmRules:
    return AlarmRules(InMemoryAlarmRuleStore(), Types(), Rules(), 100, ("test", "wellness"))


def of(sensor_type: str, condition: Condition, unit: str = "", **more: Any) -> AlarmRule:
    return AlarmRule(id="one", sensor_type=sensor_type, condition=condition, unit=unit, **more)


@pytest.mark.parametrize(
    ("condition", "unit", "canonical"),
    [
        (Threshold(True, 30, 1), "C", Threshold(True, 303.15, 1)),
        (Threshold(False, -5.5), "°C", Threshold(False, 267.65)),
        (Threshold(True, 86, 1.8), "F", Threshold(True, 303.15, 1)),
        (FlatLine(MINUTE, 0.9), "F", FlatLine(MINUTE, 0.5)),
        (RateOfChange(3), "C", RateOfChange(3)),
    ],
    ids=str,
)
async def test_limits_are_given_and_shown_in_the_unit_of_the_rule(
    desk: AlarmRules, condition: Condition, unit: str, canonical: Condition
) -> None:
    made = (await desk.create(of("temperature", condition, unit))).rule
    assert (made.condition, made.unit, made.canonical_unit) == (canonical, unit, "K")
    shown = to.rule_message(made)
    assert (shown.unit, shown.canonical_unit) == (unit, "K")
    assert to.rule_of(shown).condition == condition


@pytest.mark.parametrize("limit", [0.0, 70.0, 71.3, -40.0, 98.6])
async def test_a_value_at_the_limit_is_not_beyond_it_in_whatever_unit(desk: AlarmRules, limit: float) -> None:
    made = (await desk.create(of("temperature", Threshold(True, limit), "F"))).rule
    arrived = conversion("F", "K")
    assert arrived is not None
    assert isinstance(made.condition, Threshold)
    assert made.condition.limit == arrived.apply(limit)
    assert to.rule_message(made).threshold.limit == limit


async def test_a_rule_without_a_unit_is_in_the_canonical_one(desk: AlarmRules) -> None:
    made = (await desk.create(of("temperature", Threshold(True, 303.15)))).rule
    shown = to.rule_message(made)
    assert (shown.unit, shown.canonical_unit, shown.threshold.limit) == ("", "K", 303.15)


async def test_another_unit_converts_the_limits_and_another_limit_is_in_it(desk: AlarmRules) -> None:
    made = (await desk.create(of("temperature", Threshold(True, 30, 1), "C"))).rule

    async def change(**fields: Any) -> am.AlarmRule:
        request = pb.UpdateAlarmRuleRequest(rule=am.AlarmRule(id="one", **fields))
        return to.rule_message((await desk.update("one", to.rule_change(request))).rule)

    shown = await change(unit="F")
    assert (shown.threshold.limit, shown.threshold.hysteresis) == (86, 1.8)
    changed = (await desk.get("one")).rule
    assert (changed.condition, changed.generation) == (made.condition, made.generation)
    shown = await change(title="hot")
    assert (shown.threshold.limit, shown.unit) == (86, "F")
    shown = await change(unit="C", threshold=am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=35.0))
    assert (await desk.get("one")).rule.condition == Threshold(True, 308.15)


@pytest.mark.parametrize(
    ("made", "field", "said"),
    [
        (of("temperature", Threshold(False, -5)), "rule.threshold.limit", "never be met: no value is below -5 K"),
        (
            of("temperature", Threshold(False, -300), "C"),
            "",
            "no value is below -300 C (temperature goes from -273.15 C)",
        ),
        (of("temperature", Threshold(True, -5)), "rule.threshold.limit", "always be met: every value is above -5 K"),
        (of("humidity", Threshold(True, 100)), "rule.threshold.limit", "never be met"),
        (of("humidity", Threshold(True, 1.5), "ratio"), "", "no value is above 1.5 ratio"),
        (of("humidity", Threshold(False, 100.5)), "rule.threshold.limit", "always be met"),
        (of("humidity", Threshold(True, 50, 60)), "rule.threshold.hysteresis", "no value is back at -10 %"),
        (of("humidity", FlatLine(MINUTE, 100)), "rule.flatLine.tolerance", "always be met"),
        (of("temperature", Threshold(True, 30), "kWh"), "rule.unit", "must be one of K, C, F, is kWh"),
        (of("bananas", Threshold(True, 30), "C"), "rule.unit", "the sensor type bananas is not known"),
    ],
    ids=str,
)
async def test_what_can_never_ring_or_never_stop_is_refused(
    desk: AlarmRules, made: AlarmRule, field: str, said: str
) -> None:
    with pytest.raises(FieldInvalid) as refused:
        await desk.create(made)
    [violation] = refused.value.violations
    assert violation.field == (field or violation.field)
    assert said in violation.description


async def test_what_is_right_at_the_edge_is_taken(desk: AlarmRules) -> None:
    await desk.create(of("humidity", Threshold(True, 0, 0)))
    await desk.create(AlarmRule(id="two", sensor_type="humidity", condition=Threshold(False, 100)))
    await desk.create(AlarmRule(id="three", sensor_type="bananas", condition=Threshold(False, -5)))


async def test_an_unknown_tenant_is_refused_with_those_that_there_are(
    desk: AlarmRules,
) -> None:
    principal.enter(principal.Principal("ann", frozenset(), frozenset({"test", "nosuch"})))
    with pytest.raises(TenantUnknown) as refused:
        await desk.create(of("temperature", Threshold(True, 5), tenant="nosuch", notify=("ann",)))
    assert refused.value.metadata == {"tenant": "nosuch", "known": "test, wellness"}
    await desk.create(of("temperature", Threshold(True, 5), tenant="test", notify=("ann",)))


@pytest.mark.parametrize(
    ("condition", "values", "message"),
    [
        (Threshold(True, 303.15, min_duration=0), (304.65,), "is 31.5 C: above 30 C (2025-10-09 09:00:00 UTC)"),
        (FlatLine(MINUTE, 0.5), (293.15, 293.25), "within 0.5 C of 20 C for 1 min (2025-10-09 09:01:00 UTC)"),
        (RateOfChange(60), (293.15, 295.15), "rises by 120 C an hour: more than 60 C (2025-10-09 09:01:00 UTC)"),
    ],
    ids=str,
)
def test_texts_speak_the_unit_of_the_rule_and_say_when(
    condition: Condition, values: tuple[float, ...], message: str
) -> None:
    if isinstance(condition, RateOfChange):
        message = message.replace("rises", "changes")
    bench = AlarmBench([descriptor(0)], rule(condition, unit="C", canonical_unit="K"))
    bench.feed([(0, T0 + place * MINUTE, value) for place, value in enumerate(values)])
    [alarm] = bench.alarms
    assert alarm.message.endswith(message)


def test_numbers_are_told_with_their_digits() -> None:
    bench = AlarmBench([descriptor(0)], rule(Threshold(True, 3001799.5)))
    bench.feed([(0, T0, 3001800.25)])
    assert "is 3001800.25 K: above 3001799.5 K" in bench.alarms[0].message
