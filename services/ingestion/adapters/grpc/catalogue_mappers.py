"""Between catalogue messages and entries, and which fields an update names."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.chassis.grpc.timestamps import timestamp
from services.chassis.grpc.validation import json_name
from services.ingestion.application.catalogue import Changes
from services.ingestion.domain.catalogue import Building, Device, Kind, RepeatPolicy, Room, SensorType
from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import catalogue_pb2


def sensor_type(message: catalogue_pb2.SensorType) -> SensorType:
    """The entry of the message; the contract has seen to it that the kind is known."""
    return SensorType(message.id, **{name: read(message) for name, read in SENSOR_TYPE.items()})


def building(message: catalogue_pb2.Building) -> Building:
    """The entry of the message."""
    return Building(message.id, dict(message.attributes))


def room(message: catalogue_pb2.Room) -> Room:
    """The entry of the message."""
    return Room(message.building, message.id, dict(message.attributes))


def device(message: catalogue_pb2.Device) -> Device:
    """The entry of the message."""
    return Device(message.id, **{name: read(message) for name, read in DEVICE.items()})


def sensor_type_message(entry: SensorType) -> catalogue_pb2.SensorType:
    """As it goes out."""
    message = catalogue_pb2.SensorType(
        id=entry.id,
        kind=catalogue_pb2.SensorType.Kind.Name(int(entry.kind)),  # pyright: ignore[reportArgumentType] - same numbers
        unit=entry.unit,
        min_value=entry.min_value,
        max_value=entry.max_value,
        counter_rules=_rules_message(entry.counter_rules),
        repeat_policy=entry.repeat_policy.name,
    )
    if entry.expected_interval is not None:
        message.expected_interval.FromTimedelta(entry.expected_interval)
    return message


def building_message(entry: Building) -> catalogue_pb2.Building:
    """As it goes out."""
    return catalogue_pb2.Building(
        id=entry.id, attributes=dict(entry.attributes), create_time=timestamp(entry.create_time)
    )


def room_message(entry: Room) -> catalogue_pb2.Room:
    """As it goes out."""
    return catalogue_pb2.Room(
        building=entry.building,
        id=entry.id,
        attributes=dict(entry.attributes),
        create_time=timestamp(entry.create_time),
    )


def device_message(entry: Device) -> catalogue_pb2.Device:
    """As it goes out."""
    return catalogue_pb2.Device(
        id=entry.id,
        format=entry.format,
        building=entry.building,
        room=entry.room,
        sensor_type=entry.sensor_type,
        create_time=timestamp(entry.create_time),
        counter_rules=_rules_message(entry.counter_rules),
    )


def _rules_message(rules: CounterRules | None) -> catalogue_pb2.CounterRules | None:
    if rules is None:
        return None
    return catalogue_pb2.CounterRules(
        policy=rules.policy.name,
        register_size=rules.register_size,
        max_increase_per_hour=rules.max_increase_per_hour,
        rounding_ratio=rules.rounding_ratio,
        rounding_amount=rules.rounding_amount,
    )


_NUMBERS = ("register_size", "max_increase_per_hour", "rounding_ratio", "rounding_amount")


def _rules(field: str) -> Callable[[Any], CounterRules | None]:
    def read(message: Any) -> CounterRules | None:
        if not message.HasField("counter_rules"):
            return None
        found = message.counter_rules
        if found.policy not in {0, *CounterPolicy}:
            known = ", ".join(policy.name for policy in CounterPolicy)
            raise InvalidField(f"{field}.counterRules.policy", f"must be one of {known}", rule="ENUM")
        policy = CounterPolicy(found.policy or CounterPolicy.HOLD_THEN_RESET)
        return CounterRules(policy, *(_optional(name)(found) for name in _NUMBERS))

    return read


def _kind(message: Any) -> Kind:
    if message.kind not in set(Kind):
        raise InvalidField("sensorType.kind", "must be GAUGE, COUNTER or LEVEL", rule="ENUM")
    return Kind(message.kind)


def _interval(message: Any) -> timedelta | None:
    if not message.HasField("expected_interval"):
        return None
    interval: Duration = message.expected_interval
    if not 0 <= interval.seconds <= 400 * 86_400:
        raise InvalidField("sensorType.expectedInterval", "must be above 0s and at most 366 days", rule="DURATION")
    return interval.ToTimedelta()


def _repeat_policy(message: Any) -> RepeatPolicy:
    if message.repeat_policy not in {0, *RepeatPolicy}:
        raise InvalidField("sensorType.repeatPolicy", "must be FIRST_WINS or LAST_WINS", rule="ENUM")
    return RepeatPolicy(message.repeat_policy or RepeatPolicy.FIRST_WINS)


def _optional(name: str) -> Callable[[Any], Any]:
    return lambda message: getattr(message, name) if message.HasField(name) else None


def _plain(name: str) -> Callable[[Any], Any]:
    return lambda message: getattr(message, name)


def _map(message: Any) -> Mapping[str, str]:
    return dict(message.attributes)


Fields = Mapping[str, Callable[[Any], Any]]
"""Field that may be changed -> its value in a message."""

SENSOR_TYPE: Fields = {
    "kind": _kind,
    "unit": _plain("unit"),
    "min_value": _optional("min_value"),
    "max_value": _optional("max_value"),
    "expected_interval": _interval,
    "counter_rules": _rules("sensorType"),
    "repeat_policy": _repeat_policy,
}
ATTRIBUTES: Fields = {"attributes": _map}
DEVICE: Fields = {
    **{name: _plain(name) for name in ("format", "building", "room", "sensor_type")},
    "counter_rules": _rules("device"),
}


def changes(message: Message, mask: FieldMask, fields: Fields, identity: tuple[str, ...]) -> Changes:
    """The fields to change: those that the mask names (a field that is absent is cleared), or all that are set where
    there is no mask. What names the identity is passed over, as a whole entry may be sent back. Raises InvalidField for
    a path that names nothing changeable, and for a mask of the identity alone when there is more in the message."""
    if not mask.paths:
        named = [field.name for field, _ in message.ListFields() if field.name in fields]
    else:
        named = [name for name in fields if "*" in mask.paths] or list(mask.paths)
    found: dict[str, object] = {}
    for name in named:
        if name in identity:
            continue
        if name not in fields:
            raise _bad_mask(fields)
        found[name] = fields[name](message)
    if mask.paths and not found and any(field.name in fields for field, _ in message.ListFields()):
        raise _bad_mask(fields)
    return found


def _bad_mask(fields: Fields) -> InvalidField:
    known = ", ".join(json_name(field) for field in fields)
    return InvalidField("updateMask", f"names fields that cannot be changed; these can: {known}", rule="MASK")
