import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Reading(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "value", "unit", "event_time")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    value: float
    unit: str
    event_time: _timestamp_pb2.Timestamp
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReadingColumns(_message.Message):
    __slots__ = ("series", "series_index", "event_time_us", "value")
    class Series(_message.Message):
        __slots__ = ("building", "room", "sensor_type", "device", "unit")
        BUILDING_FIELD_NUMBER: _ClassVar[int]
        ROOM_FIELD_NUMBER: _ClassVar[int]
        SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
        DEVICE_FIELD_NUMBER: _ClassVar[int]
        UNIT_FIELD_NUMBER: _ClassVar[int]
        building: str
        room: str
        sensor_type: str
        device: str
        unit: str
        def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., unit: _Optional[str] = ...) -> None: ...
    SERIES_FIELD_NUMBER: _ClassVar[int]
    SERIES_INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[ReadingColumns.Series]
    series_index: _containers.RepeatedScalarFieldContainer[int]
    event_time_us: _containers.RepeatedScalarFieldContainer[int]
    value: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, series: _Optional[_Iterable[_Union[ReadingColumns.Series, _Mapping]]] = ..., series_index: _Optional[_Iterable[int]] = ..., event_time_us: _Optional[_Iterable[int]] = ..., value: _Optional[_Iterable[float]] = ...) -> None: ...

class ReadingConflict(_message.Message):
    __slots__ = ("index", "outcome", "counting_value", "other_value")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ReadingConflict.Outcome]
        IGNORED: _ClassVar[ReadingConflict.Outcome]
        SUPERSEDES: _ClassVar[ReadingConflict.Outcome]
    OUTCOME_UNSPECIFIED: ReadingConflict.Outcome
    IGNORED: ReadingConflict.Outcome
    SUPERSEDES: ReadingConflict.Outcome
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    COUNTING_VALUE_FIELD_NUMBER: _ClassVar[int]
    OTHER_VALUE_FIELD_NUMBER: _ClassVar[int]
    index: int
    outcome: ReadingConflict.Outcome
    counting_value: float
    other_value: float
    def __init__(self, index: _Optional[int] = ..., outcome: _Optional[_Union[ReadingConflict.Outcome, str]] = ..., counting_value: _Optional[float] = ..., other_value: _Optional[float] = ...) -> None: ...

class ItemRejection(_message.Message):
    __slots__ = ("index", "reason", "field", "message", "metadata", "code", "violations")
    class Violation(_message.Message):
        __slots__ = ("field", "rule", "message")
        FIELD_FIELD_NUMBER: _ClassVar[int]
        RULE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        field: str
        rule: str
        message: str
        def __init__(self, field: _Optional[str] = ..., rule: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    field: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    code: int
    violations: _containers.RepeatedCompositeFieldContainer[ItemRejection.Violation]
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., code: _Optional[int] = ..., violations: _Optional[_Iterable[_Union[ItemRejection.Violation, _Mapping]]] = ...) -> None: ...
