"""A series: what identifies it, how its values behave, and which partition carries it."""

import zlib
from typing import NamedTuple

from services.chassis.errors import FieldViolation
from services.chassis.ids import ID_RULE, is_id
from services.chassis.value_limits import ValueLimits
from services.ingestion.domain.catalogue import Kind, SensorType
from services.ingestion.domain.counter_rules import CounterRules

_NEVER = -(2**63)
FLAG_MAY_DECREASE = 1
"""Bit of a row's flags: the device is known to send decreasing counter values now and then."""


class SeriesKey(NamedTuple):
    """The identity of a series; `device` may be empty."""

    building: str
    room: str
    sensor_type: str
    device: str


def broken_ids(key: SeriesKey) -> list[FieldViolation]:
    """The ids of a series that are none, by the rules and in the words of the contract."""
    required = (("building", key.building), ("room", key.room), ("sensorType", key.sensor_type))
    broken = [FieldViolation(name, ID_RULE, "STRING_RESOURCE_ID") for name, value in required if not is_id(value)]
    if key.device and not is_id(key.device):
        broken.append(
            FieldViolation(
                "device", f"must be empty or {ID_RULE.removeprefix('must be ')}", "STRING_OPTIONAL_RESOURCE_ID"
            )
        )
    return broken


def partition_of(key: SeriesKey, partitions: int) -> int:
    """The partition of a series: CRC-32 (as in zlib) of the UTF-8 text ``building/room/sensorType/device``, modulo the
    number of partitions. Ids hold no slash, so that two keys never have the same text; the number must not change
    while readings are under way."""
    return zlib.crc32("/".join(key).encode()) % partitions


class SeriesIdentity:
    """What stays of a series when its sensor type or its device changes. One object for each key."""

    __slots__ = ("newest_us", "salt")

    def __init__(self, key: SeriesKey) -> None:
        self.salt = hash(key) & 0xFFFFFFFFFFFFFFFF
        """Tells it from others of its partition, mostly."""
        self.newest_us = _NEVER
        """The newest event time that this process has made durable (see `RecentReadings`)."""


class Series:
    """A series as it is known now. Compared by object: a changed sensor type or device makes a new one, of the same
    `identity`. `counter_rules`: of its device, where it has any (`own_rules`), in place of those of the type.
    `limits`: of its values."""

    __slots__ = ("counter_rules", "identity", "key", "limits", "own_rules", "partition", "type", "weight")

    def __init__(
        self,
        key: SeriesKey,
        sensor_type: SensorType,
        partitions: int,
        counter_rules: CounterRules | None = None,
        identity: SeriesIdentity | None = None,
    ) -> None:
        self.key = key
        self.identity = identity or SeriesIdentity(key)
        self.type = sensor_type
        own = counter_rules or sensor_type.counter_rules
        self.counter_rules = own if sensor_type.kind == Kind.COUNTER else None
        self.own_rules = counter_rules is not None and sensor_type.kind == Kind.COUNTER
        size = None if self.counter_rules is None else self.counter_rules.register_size
        self.limits = ValueLimits.of(sensor_type.unit, sensor_type.min_value, sensor_type.max_value, size)
        self.partition = partition_of(key, partitions)
        self.weight = sum(map(len, key)) + len(sensor_type.unit.encode()) + 63
        """About the bytes that its description takes in a message."""

    @property
    def kind(self) -> Kind:
        """How its values behave."""
        return self.type.kind
