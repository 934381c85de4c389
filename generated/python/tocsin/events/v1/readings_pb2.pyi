import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReadingBatch(_message.Message):
    __slots__ = ("partition", "series", "series_index", "event_time_us", "value", "flags", "accept_time", "changed", "moved", "sensor_types")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SERIES_INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    series: _containers.RepeatedCompositeFieldContainer[SeriesDescriptor]
    series_index: _containers.RepeatedScalarFieldContainer[int]
    event_time_us: _containers.RepeatedScalarFieldContainer[int]
    value: _containers.RepeatedScalarFieldContainer[float]
    flags: _containers.RepeatedScalarFieldContainer[int]
    accept_time: _timestamp_pb2.Timestamp
    changed: _containers.RepeatedCompositeFieldContainer[SeriesDescriptor]
    moved: _containers.RepeatedCompositeFieldContainer[DeviceMoved]
    sensor_types: _containers.RepeatedCompositeFieldContainer[SensorTypeInfo]
    def __init__(self, partition: _Optional[int] = ..., series: _Optional[_Iterable[_Union[SeriesDescriptor, _Mapping]]] = ..., series_index: _Optional[_Iterable[int]] = ..., event_time_us: _Optional[_Iterable[int]] = ..., value: _Optional[_Iterable[float]] = ..., flags: _Optional[_Iterable[int]] = ..., accept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed: _Optional[_Iterable[_Union[SeriesDescriptor, _Mapping]]] = ..., moved: _Optional[_Iterable[_Union[DeviceMoved, _Mapping]]] = ..., sensor_types: _Optional[_Iterable[_Union[SensorTypeInfo, _Mapping]]] = ...) -> None: ...

class SensorTypeInfo(_message.Message):
    __slots__ = ("sensor_type", "unit", "min_value", "max_value", "told_us")
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    TOLD_US_FIELD_NUMBER: _ClassVar[int]
    sensor_type: str
    unit: str
    min_value: float
    max_value: float
    told_us: int
    def __init__(self, sensor_type: _Optional[str] = ..., unit: _Optional[str] = ..., min_value: _Optional[float] = ..., max_value: _Optional[float] = ..., told_us: _Optional[int] = ...) -> None: ...

class DeviceMoved(_message.Message):
    __slots__ = ("device", "from_building", "from_room", "building", "room", "move_time")
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_BUILDING_FIELD_NUMBER: _ClassVar[int]
    FROM_ROOM_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    MOVE_TIME_FIELD_NUMBER: _ClassVar[int]
    device: str
    from_building: str
    from_room: str
    building: str
    room: str
    move_time: _timestamp_pb2.Timestamp
    def __init__(self, device: _Optional[str] = ..., from_building: _Optional[str] = ..., from_room: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., move_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SeriesDescriptor(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "kind", "unit", "expected_interval_us", "counter_policy", "register_size", "max_increase_per_hour", "own_counter_rules", "rules_revision", "last_wins", "rounding_ratio", "rounding_amount")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[SeriesDescriptor.Kind]
        GAUGE: _ClassVar[SeriesDescriptor.Kind]
        COUNTER: _ClassVar[SeriesDescriptor.Kind]
        LEVEL: _ClassVar[SeriesDescriptor.Kind]
    KIND_UNSPECIFIED: SeriesDescriptor.Kind
    GAUGE: SeriesDescriptor.Kind
    COUNTER: SeriesDescriptor.Kind
    LEVEL: SeriesDescriptor.Kind
    class CounterPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        COUNTER_POLICY_UNSPECIFIED: _ClassVar[SeriesDescriptor.CounterPolicy]
        HOLD_THEN_RESET: _ClassVar[SeriesDescriptor.CounterPolicy]
        RESET: _ClassVar[SeriesDescriptor.CounterPolicy]
        ROLLOVER: _ClassVar[SeriesDescriptor.CounterPolicy]
        REJECT: _ClassVar[SeriesDescriptor.CounterPolicy]
    COUNTER_POLICY_UNSPECIFIED: SeriesDescriptor.CounterPolicy
    HOLD_THEN_RESET: SeriesDescriptor.CounterPolicy
    RESET: SeriesDescriptor.CounterPolicy
    ROLLOVER: SeriesDescriptor.CounterPolicy
    REJECT: SeriesDescriptor.CounterPolicy
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INTERVAL_US_FIELD_NUMBER: _ClassVar[int]
    COUNTER_POLICY_FIELD_NUMBER: _ClassVar[int]
    REGISTER_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_INCREASE_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    OWN_COUNTER_RULES_FIELD_NUMBER: _ClassVar[int]
    RULES_REVISION_FIELD_NUMBER: _ClassVar[int]
    LAST_WINS_FIELD_NUMBER: _ClassVar[int]
    ROUNDING_RATIO_FIELD_NUMBER: _ClassVar[int]
    ROUNDING_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    kind: SeriesDescriptor.Kind
    unit: str
    expected_interval_us: int
    counter_policy: SeriesDescriptor.CounterPolicy
    register_size: float
    max_increase_per_hour: float
    own_counter_rules: bool
    rules_revision: int
    last_wins: bool
    rounding_ratio: float
    rounding_amount: float
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., kind: _Optional[_Union[SeriesDescriptor.Kind, str]] = ..., unit: _Optional[str] = ..., expected_interval_us: _Optional[int] = ..., counter_policy: _Optional[_Union[SeriesDescriptor.CounterPolicy, str]] = ..., register_size: _Optional[float] = ..., max_increase_per_hour: _Optional[float] = ..., own_counter_rules: _Optional[bool] = ..., rules_revision: _Optional[int] = ..., last_wins: _Optional[bool] = ..., rounding_ratio: _Optional[float] = ..., rounding_amount: _Optional[float] = ...) -> None: ...

class ContainerEmptied(_message.Message):
    __slots__ = ("series", "event_time", "forced")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    series: SeriesDescriptor
    event_time: _timestamp_pb2.Timestamp
    forced: bool
    def __init__(self, series: _Optional[_Union[SeriesDescriptor, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., forced: _Optional[bool] = ...) -> None: ...
