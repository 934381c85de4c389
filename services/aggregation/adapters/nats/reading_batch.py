"""Reads a ReadingBatch without an object per reading: its packed columns are used where they lie in the message.

A message that is encoded in another (equally valid) way, with unpacked or repeated columns, is parsed by protobuf
instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError

from services.aggregation.domain.columns import Floats, Ints
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.sensor_types import SensorTypeInfo
from services.aggregation.domain.series import Descriptor, DeviceMove, Kind, SeriesKey
from services.aggregation.domain.times import DAY
from services.chassis.ids import is_id
from tocsin.events.v1.readings_pb2 import DeviceMoved, ReadingBatch, SeriesDescriptor
from tocsin.events.v1.readings_pb2 import SensorTypeInfo as SensorTypeInfoMessage

_PARTITION, _SERIES, _INDEX, _TIME, _VALUE, _FLAGS, _ACCEPTED, _CHANGED, _MOVED, _TYPES = range(1, 11)
_LENGTH_DELIMITED: Final = 2
_SERIES_TAG: Final = _SERIES << 3 | _LENGTH_DELIMITED
_MAY_DECREASE: Final = 1

FUTURE: Final = DAY
"""An event time further ahead than this is nobody's clock (ingestion refuses far less)."""


class Malformed(Exception):
    """Not a ReadingBatch that makes sense; the message says why."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch. `index` refers to `descriptors` (serialized); `cautious`: places of those whose device is known to send
    decreasing values now and then; `changed`: rules that have changed, without building and room; `moved`: devices that
    stand elsewhere now."""

    partition: int
    descriptors: Sequence[bytes]
    index: Ints
    time: Ints
    value: Floats
    cautious: frozenset[int] = frozenset()
    changed: Sequence[Descriptor] = ()
    moved: Sequence[DeviceMove] = ()
    sensor_types: Sequence[SensorTypeInfo] = ()


_UNIT = 32
"""Characters of a unit, at the most."""
NOTHING = Columns(0, (), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
"""A batch without readings."""


def parse_batch(data: bytes) -> Columns:
    """Raises Malformed."""
    columns = _scan(data) or _parse(data)
    rows = len(columns.time)
    if len(columns.value) != rows or len(columns.index) != rows:
        raise Malformed("its columns have different lengths")
    if rows and int(columns.index.max()) >= len(columns.descriptors):
        raise Malformed("a row refers to a series that is not described")
    if rows and not np.isfinite(columns.value).all():
        raise Malformed("a value is not a number")
    if rows and int(columns.time.min()) < 0:
        raise Malformed("an event time is before 1970")
    return columns


def parse_descriptor(data: bytes) -> Descriptor:
    """Raises Malformed."""
    found = _described(data)
    if not (found.key.building and found.key.room and found.key.sensor_type):
        raise Malformed("a series has no building, room or sensor type")
    return found


def _parse_changed(data: bytes) -> Descriptor:
    found = _described(data)
    if not found.key.sensor_type:
        raise Malformed("changed rules name no sensor type")
    return found


def _parse_moved(data: bytes) -> DeviceMove:
    try:
        found = DeviceMoved.FromString(data)
    except DecodeError as error:
        raise Malformed("a move of a device cannot be parsed") from error
    origin, to = (found.from_building, found.from_room), (found.building, found.room)
    if not all(map(is_id, (found.device, *origin, *filter(None, to)))) or any(to) != all(to):
        raise Malformed("a move of a device names no device, or no room")
    return DeviceMove(found.device, origin, to if any(to) else None, found.move_time.ToMicroseconds())


def _parse_type(data: bytes) -> SensorTypeInfo:
    try:
        found = SensorTypeInfoMessage.FromString(data)
    except DecodeError as error:
        raise Malformed("a sensor type cannot be parsed") from error
    if not is_id(found.sensor_type) or len(found.unit) > _UNIT or not found.unit.isprintable():
        raise Malformed("a sensor type has no id, or no unit")
    least = found.min_value if found.HasField("min_value") else None
    most = found.max_value if found.HasField("max_value") else None
    return SensorTypeInfo(found.sensor_type, found.unit, least, most, found.told_us)


def _described(data: bytes) -> Descriptor:
    try:
        found = SeriesDescriptor.FromString(data)
    except DecodeError as error:
        raise Malformed("a series description cannot be parsed") from error
    if found.kind not in (Kind.GAUGE, Kind.COUNTER, Kind.LEVEL):
        raise Malformed("a series has no kind")
    key = SeriesKey(found.building, found.room, found.sensor_type, found.device)
    if not all(is_id(part) for part in key if part):
        raise Malformed("a building, room, sensor type or device is no id")
    if len(found.unit) > _UNIT or not found.unit.isprintable():
        raise Malformed("a unit is no printable text of a few characters")
    numbers = (found.register_size, found.max_increase_per_hour)
    rounding = (found.rounding_ratio, found.rounding_amount)
    if not all(math.isfinite(number) and number >= 0 for number in (*numbers, *rounding)):
        raise Malformed("a register size, a greatest increase or a rounding is not a positive number")
    policy = Policy(found.counter_policy) if found.counter_policy in set(Policy) else Policy.HOLD_THEN_RESET
    rules = CounterRules(policy, *numbers, rounding_ratio=rounding[0], rounding_amount=rounding[1])
    revision = max(found.rules_revision, 0)
    # Whoever does not tell a revision does not tell whose rules they are either: then the type's do not replace them.
    own = found.own_counter_rules or not revision
    interval = max(found.expected_interval_us, 0)
    return Descriptor(key, Kind(found.kind), found.unit, interval, rules, own, revision, found.last_wins)


def _parse(data: bytes) -> Columns:
    try:
        batch = ReadingBatch.FromString(data)
    except DecodeError as error:
        raise Malformed("it cannot be parsed") from error
    return Columns(
        batch.partition,
        [series.SerializeToString() for series in batch.series],
        np.array(batch.series_index, np.int64),
        np.array(batch.event_time_us, np.int64),
        np.array(batch.value, np.float64),
        _cautious(np.array(batch.series_index, np.int64), np.array(batch.flags, np.int64)),
        [_parse_changed(series.SerializeToString()) for series in batch.changed],
        [_parse_moved(move.SerializeToString()) for move in batch.moved],
        [_parse_type(one.SerializeToString()) for one in batch.sensor_types],
    )


def _cautious(index: Ints, flags: Ints) -> frozenset[int]:
    """Raises Malformed."""
    if not len(flags):
        return frozenset()
    if len(flags) != len(index):
        raise Malformed("its columns have different lengths")
    return frozenset(np.unique(index[flags & _MAY_DECREASE != 0]).tolist())


def _scan(data: bytes) -> Columns | None:
    """The columns in place; None when the encoding is not the usual one."""
    at, end = 0, len(data)
    partition = 0
    descriptors: list[bytes] = []
    changed: list[Descriptor] = []
    moved: list[DeviceMove] = []
    types: list[SensorTypeInfo] = []
    index: Ints | None = None
    time: Ints | None = None
    value: Floats | None = None
    flags: Ints | None = None
    try:
        while at < end:
            if data[at] == _SERIES_TAG and data[at + 1] < 0x80:
                # A message describes hundreds of series.
                first = at + 2
                at = first + data[at + 1]
                if at > end:
                    return None
                descriptors.append(data[first:at])
                continue
            tag, at = _varint(data, at)
            field, wire = tag >> 3, tag & 7
            if wire == 0:
                number, at = _varint(data, at)
                if field == _PARTITION:
                    partition = number
                else:
                    return None
                continue
            if wire != _LENGTH_DELIMITED:
                return None
            size, at = _varint(data, at)
            first, at = at, at + size
            if at > end:
                return None
            if field == _SERIES:
                descriptors.append(data[first:at])
            elif field == _CHANGED:
                changed.append(_parse_changed(data[first:at]))
            elif field == _MOVED:
                moved.append(_parse_moved(data[first:at]))
            elif field == _TYPES:
                types.append(_parse_type(data[first:at]))
            elif field == _INDEX and index is None:
                index = _varints(np.frombuffer(data, np.uint8, size, first))
            elif field == _TIME and time is None and size % 8 == 0:
                time = np.frombuffer(data, "<i8", size // 8, first)
            elif field == _VALUE and value is None and size % 8 == 0:
                value = np.frombuffer(data, "<f8", size // 8, first)
            elif field == _FLAGS and flags is None:
                flags = _varints(np.frombuffer(data, np.uint8, size, first))
            elif field != _ACCEPTED:
                return None
    except IndexError:
        return None
    none = np.zeros(0, np.int64)
    index = none if index is None else index
    return Columns(
        partition,
        descriptors,
        index,
        none if time is None else time,
        np.zeros(0) if value is None else value,
        _cautious(index, none if flags is None else flags),
        changed,
        moved,
        types,
    )


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError


def _varints(packed: "np.ndarray[tuple[int], np.dtype[np.uint8]]") -> Ints:
    """All varints of a packed field at once; they are below 2**32."""
    last = packed < 0x80
    if last.all():
        return packed.astype(np.int64)
    if not len(packed) or not last[-1]:
        raise IndexError
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > 4:
        raise IndexError
    value = np.zeros(len(ends), np.int64)
    for place in range(int((ends - starts).max()) + 1):
        at = starts + place
        there = at <= ends
        value[there] |= (packed[at[there]].astype(np.int64) & 0x7F) << (7 * place)
    return value
