"""How events describe series, and the events of rules that have changed."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.chassis.ids import uuid7
from services.chassis.nats.envelope import Event
from services.chassis.nats.topology import readings_subject
from services.ingestion.domain.catalogue import Kind, SensorType
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.rule_changes import DeviceMove, RulesChange, TypesTold
from services.ingestion.domain.series import Series
from tocsin.events.v1 import readings_pb2

_KINDS: Final = {
    Kind.GAUGE: readings_pb2.SeriesDescriptor.GAUGE,
    Kind.COUNTER: readings_pb2.SeriesDescriptor.COUNTER,
    Kind.LEVEL: readings_pb2.SeriesDescriptor.LEVEL,
}


def descriptor(series: Series) -> readings_pb2.SeriesDescriptor:
    """The series as events describe it."""
    found = _rules(series.type, series.counter_rules, own=series.own_rules)
    found.building, found.room, found.sensor_type, found.device = series.key
    return found


def rule_events(changes: Sequence[RulesChange], partitions: int) -> list[Event]:
    """One for each partition, which says all of it; those of a partition leave in the order of the changes."""
    found: list[Event] = []
    name = "-".join(f"{change.type.id}-{change.type.revision}" for change in changes)
    for partition in range(partitions):
        message = readings_pb2.ReadingBatch(partition=partition, changed=map(_changed, changes))
        message.accept_time.GetCurrentTime()
        event_id = f"rules-{name}-{partition}"
        found.append(Event(readings_subject(partition), message, id=event_id, key=f"rules-{partition}"))
    return found


def move_events(move: DeviceMove, partitions: int) -> list[Event]:
    """One for each partition: a device may have series in any."""
    found: list[Event] = []
    name = uuid7()
    for partition in range(partitions):
        moved = readings_pb2.DeviceMoved(device=move.device, from_building=move.origin[0], from_room=move.origin[1])
        if move.to is not None:
            moved.building, moved.room = move.to
        moved.move_time.GetCurrentTime()
        message = readings_pb2.ReadingBatch(partition=partition, moved=[moved])
        message.accept_time.GetCurrentTime()
        event_id = f"moved-{name}-{partition}"
        found.append(Event(readings_subject(partition), message, id=event_id, key=f"rules-{partition}"))
    return found


def type_event(types: TypesTold) -> Event:
    """To one partition: what its owner stores all of them read."""
    infos = [
        readings_pb2.SensorTypeInfo(
            sensor_type=one.id, unit=one.unit, min_value=one.min_value, max_value=one.max_value, told_us=types.told
        )
        for one in types.types
    ]
    message = readings_pb2.ReadingBatch(partition=0, sensor_types=infos)
    message.accept_time.GetCurrentTime()
    return Event(readings_subject(0), message, id=f"types-{uuid7()}", key="rules-0")


def _changed(change: RulesChange) -> readings_pb2.SeriesDescriptor:
    own = change.own is not None and change.type.kind == Kind.COUNTER
    rules = (change.own or change.type.counter_rules) if change.type.kind == Kind.COUNTER else None
    found = _rules(change.type, rules, own=own)
    found.sensor_type, found.device = change.type.id, change.device
    return found


def _rules(sensor_type: SensorType, counting: CounterRules | None, *, own: bool) -> readings_pb2.SeriesDescriptor:
    interval = sensor_type.expected_interval
    rules = counting or CounterRules()
    return readings_pb2.SeriesDescriptor(
        kind=_KINDS[sensor_type.kind],
        unit=sensor_type.unit,
        expected_interval_us=0 if interval is None else interval // timedelta(microseconds=1),
        counter_policy=None if counting is None else rules.policy.name,
        register_size=rules.register_size,
        max_increase_per_hour=rules.max_increase_per_hour,
        rounding_ratio=rules.rounding_ratio,
        rounding_amount=rules.rounding_amount,
        own_counter_rules=own,
        rules_revision=sensor_type.revision,
        last_wins=sensor_type.last_wins,
    )
