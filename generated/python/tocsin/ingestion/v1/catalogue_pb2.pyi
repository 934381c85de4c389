import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SensorType(_message.Message):
    __slots__ = ("id", "kind", "unit", "min_value", "max_value", "expected_interval", "counter_rules", "repeat_policy")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[SensorType.Kind]
        GAUGE: _ClassVar[SensorType.Kind]
        COUNTER: _ClassVar[SensorType.Kind]
        LEVEL: _ClassVar[SensorType.Kind]
    KIND_UNSPECIFIED: SensorType.Kind
    GAUGE: SensorType.Kind
    COUNTER: SensorType.Kind
    LEVEL: SensorType.Kind
    class RepeatPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REPEAT_POLICY_UNSPECIFIED: _ClassVar[SensorType.RepeatPolicy]
        FIRST_WINS: _ClassVar[SensorType.RepeatPolicy]
        LAST_WINS: _ClassVar[SensorType.RepeatPolicy]
    REPEAT_POLICY_UNSPECIFIED: SensorType.RepeatPolicy
    FIRST_WINS: SensorType.RepeatPolicy
    LAST_WINS: SensorType.RepeatPolicy
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MIN_VALUE_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    COUNTER_RULES_FIELD_NUMBER: _ClassVar[int]
    REPEAT_POLICY_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: SensorType.Kind
    unit: str
    min_value: float
    max_value: float
    expected_interval: _duration_pb2.Duration
    counter_rules: CounterRules
    repeat_policy: SensorType.RepeatPolicy
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[SensorType.Kind, str]] = ..., unit: _Optional[str] = ..., min_value: _Optional[float] = ..., max_value: _Optional[float] = ..., expected_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., counter_rules: _Optional[_Union[CounterRules, _Mapping]] = ..., repeat_policy: _Optional[_Union[SensorType.RepeatPolicy, str]] = ...) -> None: ...

class CounterRules(_message.Message):
    __slots__ = ("policy", "register_size", "max_increase_per_hour", "rounding_ratio", "rounding_amount")
    class Policy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        POLICY_UNSPECIFIED: _ClassVar[CounterRules.Policy]
        HOLD_THEN_RESET: _ClassVar[CounterRules.Policy]
        RESET: _ClassVar[CounterRules.Policy]
        ROLLOVER: _ClassVar[CounterRules.Policy]
        REJECT: _ClassVar[CounterRules.Policy]
    POLICY_UNSPECIFIED: CounterRules.Policy
    HOLD_THEN_RESET: CounterRules.Policy
    RESET: CounterRules.Policy
    ROLLOVER: CounterRules.Policy
    REJECT: CounterRules.Policy
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REGISTER_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_INCREASE_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    ROUNDING_RATIO_FIELD_NUMBER: _ClassVar[int]
    ROUNDING_AMOUNT_FIELD_NUMBER: _ClassVar[int]
    policy: CounterRules.Policy
    register_size: float
    max_increase_per_hour: float
    rounding_ratio: float
    rounding_amount: float
    def __init__(self, policy: _Optional[_Union[CounterRules.Policy, str]] = ..., register_size: _Optional[float] = ..., max_increase_per_hour: _Optional[float] = ..., rounding_ratio: _Optional[float] = ..., rounding_amount: _Optional[float] = ...) -> None: ...

class Building(_message.Message):
    __slots__ = ("id", "attributes", "create_time")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    attributes: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Room(_message.Message):
    __slots__ = ("building", "id", "attributes", "create_time")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    building: str
    id: str
    attributes: _containers.ScalarMap[str, str]
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, building: _Optional[str] = ..., id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("id", "format", "building", "room", "sensor_type", "create_time", "counter_rules")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNTER_RULES_FIELD_NUMBER: _ClassVar[int]
    id: str
    format: str
    building: str
    room: str
    sensor_type: str
    create_time: _timestamp_pb2.Timestamp
    counter_rules: CounterRules
    def __init__(self, id: _Optional[str] = ..., format: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., counter_rules: _Optional[_Union[CounterRules, _Mapping]] = ...) -> None: ...
