"""What a type of the catalogue may be, at each limit."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from services.ingestion.domain.catalogue import InvalidEntry, SensorType
from tests.support.ingestion import TYPES


def _broken(sensor_type: SensorType) -> list[str]:
    try:
        sensor_type.check()
    except InvalidEntry as invalid:
        return [violation.field for violation in invalid.violations]
    return []


@pytest.mark.parametrize(
    ("unit", "good"), [("", False), ("K", True), ("k" * 16, True), ("k" * 17, False), ("a\n", False)]
)
def test_a_unit_has_1_to_16_printable_characters(unit: str, good: bool) -> None:
    assert _broken(replace(TYPES[0], unit=unit)) == ([] if good else ["sensorType.unit"])


@pytest.mark.parametrize(
    ("low", "high", "broken"),
    [
        (1.0, 1.0, []),
        (None, None, []),
        (1.5, 1.0, ["sensorType.minValue"]),
        (-math.inf, 1.0, ["sensorType.minValue"]),
        (0.0, math.nan, ["sensorType.maxValue"]),
    ],
)
def test_limits_are_finite_and_in_order(low: float | None, high: float | None, broken: list[str]) -> None:
    assert _broken(replace(TYPES[0], min_value=low, max_value=high)) == broken


@pytest.mark.parametrize(
    ("interval", "good"),
    [
        (timedelta(0), False),
        (timedelta(microseconds=1), True),
        (timedelta(days=366), True),
        (timedelta(days=366, microseconds=1), False),
    ],
)
def test_an_interval_is_above_zero_and_at_most_a_leap_year(interval: timedelta, good: bool) -> None:
    assert _broken(replace(TYPES[0], expected_interval=interval)) == ([] if good else ["sensorType.expectedInterval"])
