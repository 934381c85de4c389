"""Changes of the catalogue that matter to whoever works with readings: how values behave, and what a counter may do."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.ingestion.domain.catalogue import Device, Kind, SensorType
from services.ingestion.domain.counter_rules import CounterRules


@dataclass(frozen=True, slots=True)
class RulesChange:
    """Rules from now on: those of a sensor type (in its new revision), or with a `device` those of this device and
    type. `own`: the device's own counter rules; None: it has those of its type."""

    type: SensorType
    device: str = ""
    own: CounterRules | None = None


@dataclass(frozen=True, slots=True)
class TypesTold:
    """What sensor types say of their values at `told` (microseconds)."""

    types: Sequence[SensorType]
    told: int


def concerns_limits(before: SensorType, after: SensorType) -> bool:
    """Whether those who judge values see the type otherwise."""
    return (before.unit, before.min_value, before.max_value) != (after.unit, after.min_value, after.max_value)


def concerns_readings(before: SensorType, after: SensorType) -> bool:
    """Whether readings of the type are to be seen otherwise. (Limits of values are a matter of accepting them.)"""
    return _rules(before) != _rules(after)


def _rules(entry: SensorType) -> tuple[object, ...]:
    counting = (entry.counter_rules or CounterRules()) if entry.kind == Kind.COUNTER else None
    return entry.kind, entry.unit, entry.expected_interval, counting, entry.last_wins


@dataclass(frozen=True, slots=True)
class DeviceMove:
    """A device has left a room; `to`: building and room where it stands now, None for one that was deleted."""

    device: str
    origin: tuple[str, str]
    to: tuple[str, str] | None


def move_of(before: Device | None, after: Device | None) -> DeviceMove | None:
    """Where a device has left its room."""
    if before is None:
        return None
    origin, to = (before.building, before.room), None if after is None else (after.building, after.room)
    return None if origin == to else DeviceMove(before.id, origin, to)


def own_rules_changed(before: Device | None, after: Device | None) -> dict[str, CounterRules | None]:
    """Sensor type -> the own counter rules that a device has as one of that type now (None: no longer any), where that
    is not what it was. None for a device that is not there."""
    had, has = _own(before), _own(after)
    return {name: has.get(name) for name in sorted(had.keys() | has.keys()) if had.get(name) != has.get(name)}


def _own(device: Device | None) -> dict[str, CounterRules]:
    if device is None or device.counter_rules is None:
        return {}
    return {device.sensor_type: device.counter_rules}
