"""What rules match: how many series, and which part of a rule matches none."""

import pytest

from services.aggregation.adapters.memory.alarm_stores import InMemoryAlarmRuleStore
from services.aggregation.application.alarms.alarm_rules import matched
from services.aggregation.domain.alarms.rule import AlarmRule, Condition, ContainerEmptied, ContainerFull, NoData
from services.aggregation.domain.alarms.scope import MAX_COUNTED, Match, Part
from services.aggregation.domain.series import Kind, SeriesKey
from services.aggregation.domain.times import SECOND
from tests.support.aggregation.alarms import AlarmBench, rule
from tests.support.aggregation.partition import T0, descriptor

SERIES = [
    (SeriesKey("b1", "r1", "temperature", "d1"), Kind.GAUGE),
    (SeriesKey("b1", "r2", "temperature", "d2"), Kind.GAUGE),
    (SeriesKey("b2", "r1", "waste", "d3"), Kind.LEVEL),
]
SILENT = NoData(SECOND)


def one(condition: Condition = SILENT, sensor_type: str = "temperature", **more: str) -> AlarmRule:
    return AlarmRule(id="one", sensor_type=sensor_type, condition=condition, **more)  # pyright: ignore


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (one(), Match(2)),
        (one(building="b1", room="r2"), Match(1)),
        (one(device="d2"), Match(1)),
        (one(ContainerFull(80.0), "waste"), Match(1)),
        (one(sensor_type="temprature"), Match(0, Part.SENSOR_TYPE)),
        (one(sensor_type="temprature", building="nowhere"), Match(0, Part.SENSOR_TYPE)),
        (one(building="b2"), Match(0, Part.BUILDING)),
        (one(building="b1", room="r9", device="d9"), Match(0, Part.ROOM)),
        (one(building="b1", device="d9"), Match(0, Part.DEVICE)),
        (one(ContainerEmptied()), Match(0, Part.KIND)),
        (one(ContainerEmptied(), building="b1", room="r1"), Match(0, Part.KIND)),
        (one(ContainerEmptied(), building="b3"), Match(0, Part.BUILDING)),
    ],
)
async def test_what_a_rule_matches(asked: AlarmRule, expected: Match) -> None:
    store = InMemoryAlarmRuleStore(lambda: SERIES)
    assert [found.match for found in await matched(store, [asked])] == [expected]
    assert await matched(store, []) == []


async def test_series_are_counted_up_to_a_bound() -> None:
    many = [(SeriesKey("b", "r", "temperature", f"d{n}"), Kind.GAUGE) for n in range(MAX_COUNTED + 5)]
    [found] = await matched(InMemoryAlarmRuleStore(lambda: many), [one()])
    assert found.match == Match(MAX_COUNTED)


@pytest.mark.parametrize("condition", [ContainerFull(4.0), ContainerEmptied()])
def test_a_thermometer_is_no_container(condition: Condition) -> None:
    bench = AlarmBench([descriptor(0), descriptor(1, Kind.LEVEL)], rule(condition))
    for at, value in enumerate((5.0, 0.0, 5.0)):
        bench.feed([(number, T0 + at * SECOND, value) for number in range(2)])
    assert bench.alarms
    assert {alarm.key for alarm in bench.alarms} == {descriptor(1).key}
