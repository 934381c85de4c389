"""The catalogue: what readings refer to, and the rules of its entries."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.ids import ID_RULE, is_id
from services.ingestion.domain.counter_rules import CounterRules, for_counters_only

UNASSIGNED = "unassigned"
"""Building and room of a device that registered itself by its first payload."""
_MAX_ATTRIBUTES, _MAX_KEY, _MAX_VALUE, _MAX_UNIT = 32, 63, 1000, 16


class Kind(enum.IntEnum):
    """How values behave over time; the numbers are those of the contract."""

    GAUGE = 1
    COUNTER = 2
    LEVEL = 3


class RepeatPolicy(enum.IntEnum):
    """Which of several values of one event time counts; the numbers are those of the contract."""

    FIRST_WINS = 1
    LAST_WINS = 2


class InvalidEntry(InvalidArgument):
    """The catalogue entry breaks its rules."""

    reason = "INVALID_FIELD"


@dataclass(frozen=True, slots=True)
class SensorType:
    """A kind of measurement. Limits are in the canonical `unit`; no expected interval = estimated from the series.
    `revision`, kept by the catalogue: grows with every change of rules of the type and of its devices."""

    id: str
    kind: Kind
    unit: str
    min_value: float | None = None
    max_value: float | None = None
    expected_interval: timedelta | None = None
    counter_rules: CounterRules | None = None
    revision: int = field(default=0, compare=False)
    repeat_policy: RepeatPolicy = RepeatPolicy.FIRST_WINS

    @property
    def last_wins(self) -> bool:
        """Of two values of one event time the one that came last counts, not the first."""
        return self.repeat_policy == RepeatPolicy.LAST_WINS

    def check(self) -> None:
        """Raises InvalidEntry that names every broken rule."""
        broken = _id("sensorType.id", self.id)
        if not 1 <= len(self.unit) <= _MAX_UNIT or not self.unit.isprintable():
            broken.append(FieldViolation("sensorType.unit", f"must be 1 to {_MAX_UNIT} printable characters"))
        for name, bound in (("minValue", self.min_value), ("maxValue", self.max_value)):
            if bound is not None and not math.isfinite(bound):
                broken.append(FieldViolation(f"sensorType.{name}", "must be finite"))
        if self.min_value is not None and self.max_value is not None and self.min_value > self.max_value:
            broken.append(FieldViolation("sensorType.minValue", "must not be above maxValue"))
        interval = self.expected_interval
        if interval is not None and not timedelta(0) < interval <= timedelta(days=366):
            broken.append(FieldViolation("sensorType.expectedInterval", "must be above 0s and at most 366 days"))
        if self.counter_rules is not None:
            broken += self.counter_rules.violations("sensorType.counterRules")
            broken += [for_counters_only("sensorType.counterRules")] if self.kind != Kind.COUNTER else []
            broken += self._register("sensorType.counterRules.registerSize", self.counter_rules)
        _refuse(broken)

    def _register(self, name: str, rules: CounterRules, whose: str = "") -> list[FieldViolation]:
        """What is wrong with the size of the register; `whose` limits they are, to those who see only the rules."""
        size, broken = rules.register_size, list[FieldViolation]()
        if size is not None and self.max_value is not None and size > self.max_value - (self.min_value or 0.0) + 1:
            # Values in between would be refused before they could run over.
            broken.append(FieldViolation(name, f"must not be above maxValue - minValue + 1{whose}"))
        if size is not None and self.min_value is not None and size <= self.min_value:
            broken.append(FieldViolation(name, f"must be above minValue{whose}"))
        return broken

    def unfit(self, name: str, rules: CounterRules) -> list[FieldViolation]:
        """Why a device of this type cannot have these counter rules; `name` is what its entry calls them."""
        broken = [for_counters_only(name)] if self.kind != Kind.COUNTER else []
        return broken + self._register(f"{name}.registerSize", rules, " of the sensor type")


@dataclass(frozen=True, slots=True)
class Building:
    """A place with rooms."""

    id: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    create_time: datetime | None = None

    def check(self) -> None:
        """Raises InvalidEntry that names every broken rule."""
        _refuse(_id("building.id", self.id) + _attributes("building.attributes", self.attributes))


@dataclass(frozen=True, slots=True)
class Room:
    """A part of a building."""

    building: str
    id: str
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    create_time: datetime | None = None

    def check(self) -> None:
        """Raises InvalidEntry that names every broken rule."""
        broken = _id("room.building", self.building) + _id("room.id", self.id)
        _refuse(broken + _attributes("room.attributes", self.attributes))


@dataclass(frozen=True, slots=True)
class Device:
    """A sensor or gateway; `format` is empty for one that sends canonical readings."""

    id: str
    format: str
    building: str
    room: str
    sensor_type: str
    create_time: datetime | None = None
    counter_rules: CounterRules | None = None
    """In place of those of the sensor type."""

    def check(self) -> None:
        """Raises InvalidEntry that names every broken rule."""
        broken = [*_id("device.id", self.id), *(_id("device.format", self.format) if self.format else ())]
        broken += _id("device.building", self.building) + _id("device.room", self.room)
        broken += _id("device.sensorType", self.sensor_type)
        _refuse(broken + (self.counter_rules.violations("device.counterRules") if self.counter_rules else []))

    def check_type(self, sensor_type: SensorType) -> None:
        """Raises InvalidEntry for counter rules that the device's sensor type has no use for."""
        if self.counter_rules is None:
            return
        _refuse(sensor_type.unfit("device.counterRules", self.counter_rules))


def _id(name: str, value: str) -> list[FieldViolation]:
    return [] if is_id(value) else [FieldViolation(name, ID_RULE, "STRING_RESOURCE_ID")]


def _attributes(name: str, attributes: Mapping[str, str]) -> list[FieldViolation]:
    if len(attributes) > _MAX_ATTRIBUTES:
        return [FieldViolation(name, f"must have at most {_MAX_ATTRIBUTES} entries")]
    for key, value in attributes.items():
        if not 1 <= len(key) <= _MAX_KEY:
            return [FieldViolation(name, f"keys must be 1 to {_MAX_KEY} characters")]
        if len(value) > _MAX_VALUE:
            return [FieldViolation(name, f"values must be at most {_MAX_VALUE} characters")]
        if "\0" in key or "\0" in value:
            return [FieldViolation(name, "must not contain NUL")]
    return []


def _refuse(broken: list[FieldViolation]) -> None:
    if broken:
        raise InvalidEntry(violations=broken)
