"""`tocsin alarms rule add`: options to conditions."""

from typing import Any

import pytest

from services.cli.alarm_rules import ConditionOptions, condition_text, scope_text, series_text, silence_text
from services.cli.errors import CommandError

CONDITIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"above": 303.0, "lasting": "5m", "hysteresis": 1.0},
        {"threshold": {"direction": "ABOVE", "limit": 303.0, "hysteresis": 1.0, "minDuration": "300s"}},
        "> 303 for 5m (hysteresis 1)",
    ),
    ({"below": 0.0}, {"threshold": {"direction": "BELOW", "limit": 0.0}}, "< 0"),
    ({"no_data": "1500ms"}, {"noData": {"after": "1.5s"}}, "no data for 1.5s"),
    (
        {"completeness": 0.8, "covered": True, "step": "1h"},
        {"completeness": {"below": 0.8, "ratio": "COVERED", "step": "3600s"}},
        "covered < 80% of 1h",
    ),
    (
        {"flat": "1h", "tolerance": 0.5},
        {"flatLine": {"duration": "3600s", "tolerance": 0.5}},
        "flat for 1h within 0.5",
    ),
    (
        {"rate": 12.0, "direction": "rising", "over": "10m"},
        {"rateOfChange": {"limitPerHour": 12.0, "direction": "RISING", "over": "600s"}},
        "rising > 12/h over 10m",
    ),
    ({"full": 80.0}, {"containerFull": {"level": 80.0}}, "full from 80 %"),
    ({"emptied": True}, {"containerEmptied": {}}, "emptied"),
]


@pytest.mark.parametrize(("options", "condition", "shown"), CONDITIONS)
def test_options_become_a_condition(options: dict[str, Any], condition: dict[str, Any], shown: str) -> None:
    assert ConditionOptions(**options).condition() == condition
    assert condition_text(condition) == shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "by one of"),
        ({"above": 1.0, "emptied": True}, "one condition, not 2: --above and --emptied"),
        ({"above": 1.0, "step": "1h"}, "--step goes with --completeness"),
        ({"emptied": True, "lasting": "5m"}, "--for goes with --above or --below"),
        ({"lasting": "5m"}, "--for belongs to a condition, which is given as a whole: give it too, by one of --above"),
        ({"lasting": "5m", "hysteresis": 1.0}, "--hysteresis and --for belong to a condition"),
        ({"rate": 1.0, "direction": "up"}, "--direction is one of RISING, FALLING, EITHER, not 'up'"),
        ({"no_data": "ten"}, "--no-data is no duration"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(CommandError) as refused:
        ConditionOptions(**options).condition()
    assert expected in refused.value.message
    assert refused.value.exit_code == 2


def test_where_a_rule_judges() -> None:
    assert scope_text({"sensorType": "temperature", "building": "b1", "device": "d1"}) == "temperature b1/* d1"


def test_how_many_series_a_rule_judges() -> None:
    assert series_text({}) == "0"
    assert series_text({"matchingSeries": 999}) == "999"
    assert series_text({"matchingSeries": 1000}) == "1000 or more"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"unmatched": "SENSOR_TYPE"}, "there is no series of sensor type t"),
        ({"unmatched": "BUILDING", "building": "b"}, "there is no series of sensor type t in building b"),
        (
            {"unmatched": "ROOM", "building": "b", "room": "r"},
            "there is no series of sensor type t in room r of building b",
        ),
        ({"unmatched": "DEVICE", "device": "d"}, "there is no series of sensor type t of device d"),
        (
            {"unmatched": "DEVICE", "building": "b", "device": "d"},
            "there is no series of sensor type t of device d in building b",
        ),
        ({"unmatched": "KIND"}, "no series of sensor type t is of the kind LEVEL, which this condition is for"),
        ({}, "no series is in its scope"),
    ],
)
def test_why_a_rule_judges_none(rule: dict[str, Any], expected: str) -> None:
    assert silence_text({"sensorType": "t", **rule}) == expected
