"""Limits of rules: in the unit in which people give them, and within what a sensor type can send."""

import math
from dataclasses import replace
from typing import NoReturn

from services.aggregation.domain.alarms.rule import AlarmRule, Condition, FlatLine, RateOfChange, Threshold
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.chassis.units import IDENTITY, Conversion, conversion, known_units


def from_canonical(rule: AlarmRule) -> Conversion:
    """From the canonical unit to the one in which people read."""
    found = conversion(rule.unit, rule.canonical_unit) if rule.unit and rule.canonical_unit else IDENTITY
    return (found or IDENTITY).back


def given(rule: AlarmRule) -> Condition:
    """The condition in the rule's unit, as it was given."""
    return _converted(rule.condition, from_canonical(rule), shown=True)


def with_sensor_type(rule: AlarmRule, known: SensorTypeInfo | None) -> AlarmRule:
    """The rule, whose condition is in its unit, with the condition in the canonical one. Raises FieldInvalid for a
    unit that is none of the quantity, or of a sensor type that nobody has told of. Limits are converted as readings
    are, to the last bit: a value at the limit is not beyond it."""
    if known is None:
        if rule.unit:
            description = f"cannot be converted: the sensor type {rule.sensor_type} is not known"
            raise FieldInvalid("rule.unit", description, "UNIT_UNKNOWN")
        return replace(rule, canonical_unit="")
    found = conversion(rule.unit, known.unit)
    if found is None:
        description = f"must be one of {', '.join(known_units(known.unit))}, is {rule.unit}"
        raise FieldInvalid("rule.unit", description, "UNIT_UNKNOWN")
    unit = "" if rule.unit == known.unit else rule.unit
    return replace(rule, unit=unit, canonical_unit=known.unit, condition=_converted(rule.condition, found))


def _converted(condition: Condition, by: Conversion, *, shown: bool = False) -> Condition:
    if by == IDENTITY:
        return condition
    difference = Conversion(by.scale, 0.0)

    def of(conversion: Conversion, value: float) -> float:
        return conversion.shown(value) if shown else conversion.apply(value)

    match condition:
        case Threshold(limit=limit, hysteresis=hysteresis):
            return replace(condition, limit=of(by, limit), hysteresis=of(difference, hysteresis))
        case FlatLine(tolerance=tolerance):
            return replace(condition, tolerance=of(difference, tolerance))
        case RateOfChange(limit_per_hour=limit):
            return replace(condition, limit_per_hour=of(difference, limit))
        case _:
            return condition


def check_limits(rule: AlarmRule, known: SensorTypeInfo) -> None:
    """Raises FieldInvalid for limits that no value, or every value, of the sensor type meets."""
    least = -math.inf if known.minimum is None else known.minimum
    most = math.inf if known.maximum is None else known.maximum
    match rule.condition:
        case Threshold(above=above, limit=limit, hysteresis=hysteresis):
            side, end = ("above", limit - hysteresis) if above else ("below", limit + hysteresis)
            if limit >= most if above else limit <= least:
                _refuse(rule, known, "threshold.limit", f"would never be met: no value is {side} {_told(rule, limit)}")
            if limit < least if above else limit > most:
                _refuse(
                    rule, known, "threshold.limit", f"would always be met: every value is {side} {_told(rule, limit)}"
                )
            if end < least if above else end > most:
                _refuse(
                    rule,
                    known,
                    "threshold.hysteresis",
                    f"would let no alarm clear: no value is back at {_told(rule, end)}",
                )
        case FlatLine(tolerance=tolerance) if tolerance >= most - least:
            _refuse(rule, known, "flatLine.tolerance", "would always be met: no two values are farther apart")
        case _:
            return


def _refuse(rule: AlarmRule, known: SensorTypeInfo, field: str, description: str) -> NoReturn:
    bounds = ((known.minimum, "from"), (known.maximum, "up to"))
    values = " ".join(f"{word} {_told(rule, bound)}" for bound, word in bounds if bound is not None)
    others = [name for name in known_units(known.unit) if name != known.unit]
    hint = f"; `unit` takes {', '.join(others)}, too" if others and not rule.unit else ""
    told = f"{description} ({rule.sensor_type} goes {values}{hint})"
    raise FieldInvalid(f"rule.{field}", told, "LIMIT_OUT_OF_RANGE")


def _told(rule: AlarmRule, value: float) -> str:
    unit = rule.unit or rule.canonical_unit
    return f"{from_canonical(rule).shown(value):.12g} {unit}"
