import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.aggregation.v1 import window_pb2 as _window_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlarmRule(_message.Message):
    __slots__ = ("id", "title", "building", "room", "sensor_type", "device", "severity", "disabled", "tenant", "notify", "threshold", "completeness", "no_data", "flat_line", "rate_of_change", "container_full", "container_emptied", "create_time", "update_time", "matching_series", "unmatched", "unit", "canonical_unit", "notify_cleared")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[AlarmRule.Severity]
        INFO: _ClassVar[AlarmRule.Severity]
        WARNING: _ClassVar[AlarmRule.Severity]
        CRITICAL: _ClassVar[AlarmRule.Severity]
    SEVERITY_UNSPECIFIED: AlarmRule.Severity
    INFO: AlarmRule.Severity
    WARNING: AlarmRule.Severity
    CRITICAL: AlarmRule.Severity
    class UnmatchedPart(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNMATCHED_PART_UNSPECIFIED: _ClassVar[AlarmRule.UnmatchedPart]
        SENSOR_TYPE: _ClassVar[AlarmRule.UnmatchedPart]
        BUILDING: _ClassVar[AlarmRule.UnmatchedPart]
        ROOM: _ClassVar[AlarmRule.UnmatchedPart]
        DEVICE: _ClassVar[AlarmRule.UnmatchedPart]
        KIND: _ClassVar[AlarmRule.UnmatchedPart]
    UNMATCHED_PART_UNSPECIFIED: AlarmRule.UnmatchedPart
    SENSOR_TYPE: AlarmRule.UnmatchedPart
    BUILDING: AlarmRule.UnmatchedPart
    ROOM: AlarmRule.UnmatchedPart
    DEVICE: AlarmRule.UnmatchedPart
    KIND: AlarmRule.UnmatchedPart
    class Threshold(_message.Message):
        __slots__ = ("direction", "limit", "hysteresis", "min_duration", "value_holds")
        class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            DIRECTION_UNSPECIFIED: _ClassVar[AlarmRule.Threshold.Direction]
            ABOVE: _ClassVar[AlarmRule.Threshold.Direction]
            BELOW: _ClassVar[AlarmRule.Threshold.Direction]
        DIRECTION_UNSPECIFIED: AlarmRule.Threshold.Direction
        ABOVE: AlarmRule.Threshold.Direction
        BELOW: AlarmRule.Threshold.Direction
        DIRECTION_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        HYSTERESIS_FIELD_NUMBER: _ClassVar[int]
        MIN_DURATION_FIELD_NUMBER: _ClassVar[int]
        VALUE_HOLDS_FIELD_NUMBER: _ClassVar[int]
        direction: AlarmRule.Threshold.Direction
        limit: float
        hysteresis: float
        min_duration: _duration_pb2.Duration
        value_holds: bool
        def __init__(self, direction: _Optional[_Union[AlarmRule.Threshold.Direction, str]] = ..., limit: _Optional[float] = ..., hysteresis: _Optional[float] = ..., min_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., value_holds: _Optional[bool] = ...) -> None: ...
    class Completeness(_message.Message):
        __slots__ = ("ratio", "below", "step")
        class Ratio(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            RATIO_UNSPECIFIED: _ClassVar[AlarmRule.Completeness.Ratio]
            RECEIVED: _ClassVar[AlarmRule.Completeness.Ratio]
            COVERED: _ClassVar[AlarmRule.Completeness.Ratio]
        RATIO_UNSPECIFIED: AlarmRule.Completeness.Ratio
        RECEIVED: AlarmRule.Completeness.Ratio
        COVERED: AlarmRule.Completeness.Ratio
        RATIO_FIELD_NUMBER: _ClassVar[int]
        BELOW_FIELD_NUMBER: _ClassVar[int]
        STEP_FIELD_NUMBER: _ClassVar[int]
        ratio: AlarmRule.Completeness.Ratio
        below: float
        step: _duration_pb2.Duration
        def __init__(self, ratio: _Optional[_Union[AlarmRule.Completeness.Ratio, str]] = ..., below: _Optional[float] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class NoData(_message.Message):
        __slots__ = ("after",)
        AFTER_FIELD_NUMBER: _ClassVar[int]
        after: _duration_pb2.Duration
        def __init__(self, after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class FlatLine(_message.Message):
        __slots__ = ("duration", "tolerance", "value_holds")
        DURATION_FIELD_NUMBER: _ClassVar[int]
        TOLERANCE_FIELD_NUMBER: _ClassVar[int]
        VALUE_HOLDS_FIELD_NUMBER: _ClassVar[int]
        duration: _duration_pb2.Duration
        tolerance: float
        value_holds: bool
        def __init__(self, duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tolerance: _Optional[float] = ..., value_holds: _Optional[bool] = ...) -> None: ...
    class RateOfChange(_message.Message):
        __slots__ = ("direction", "limit_per_hour", "over")
        class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            DIRECTION_UNSPECIFIED: _ClassVar[AlarmRule.RateOfChange.Direction]
            EITHER: _ClassVar[AlarmRule.RateOfChange.Direction]
            RISING: _ClassVar[AlarmRule.RateOfChange.Direction]
            FALLING: _ClassVar[AlarmRule.RateOfChange.Direction]
        DIRECTION_UNSPECIFIED: AlarmRule.RateOfChange.Direction
        EITHER: AlarmRule.RateOfChange.Direction
        RISING: AlarmRule.RateOfChange.Direction
        FALLING: AlarmRule.RateOfChange.Direction
        DIRECTION_FIELD_NUMBER: _ClassVar[int]
        LIMIT_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
        OVER_FIELD_NUMBER: _ClassVar[int]
        direction: AlarmRule.RateOfChange.Direction
        limit_per_hour: float
        over: _duration_pb2.Duration
        def __init__(self, direction: _Optional[_Union[AlarmRule.RateOfChange.Direction, str]] = ..., limit_per_hour: _Optional[float] = ..., over: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    class ContainerFull(_message.Message):
        __slots__ = ("level",)
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        level: float
        def __init__(self, level: _Optional[float] = ...) -> None: ...
    class ContainerEmptied(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    NO_DATA_FIELD_NUMBER: _ClassVar[int]
    FLAT_LINE_FIELD_NUMBER: _ClassVar[int]
    RATE_OF_CHANGE_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FULL_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_EMPTIED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MATCHING_SERIES_FIELD_NUMBER: _ClassVar[int]
    UNMATCHED_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_UNIT_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_CLEARED_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    building: str
    room: str
    sensor_type: str
    device: str
    severity: AlarmRule.Severity
    disabled: bool
    tenant: str
    notify: _containers.RepeatedScalarFieldContainer[str]
    threshold: AlarmRule.Threshold
    completeness: AlarmRule.Completeness
    no_data: AlarmRule.NoData
    flat_line: AlarmRule.FlatLine
    rate_of_change: AlarmRule.RateOfChange
    container_full: AlarmRule.ContainerFull
    container_emptied: AlarmRule.ContainerEmptied
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    matching_series: int
    unmatched: AlarmRule.UnmatchedPart
    unit: str
    canonical_unit: str
    notify_cleared: bool
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., severity: _Optional[_Union[AlarmRule.Severity, str]] = ..., disabled: _Optional[bool] = ..., tenant: _Optional[str] = ..., notify: _Optional[_Iterable[str]] = ..., threshold: _Optional[_Union[AlarmRule.Threshold, _Mapping]] = ..., completeness: _Optional[_Union[AlarmRule.Completeness, _Mapping]] = ..., no_data: _Optional[_Union[AlarmRule.NoData, _Mapping]] = ..., flat_line: _Optional[_Union[AlarmRule.FlatLine, _Mapping]] = ..., rate_of_change: _Optional[_Union[AlarmRule.RateOfChange, _Mapping]] = ..., container_full: _Optional[_Union[AlarmRule.ContainerFull, _Mapping]] = ..., container_emptied: _Optional[_Union[AlarmRule.ContainerEmptied, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., matching_series: _Optional[int] = ..., unmatched: _Optional[_Union[AlarmRule.UnmatchedPart, str]] = ..., unit: _Optional[str] = ..., canonical_unit: _Optional[str] = ..., notify_cleared: _Optional[bool] = ...) -> None: ...

class Alarm(_message.Message):
    __slots__ = ("id", "rule", "kind", "severity", "series", "state", "message", "value", "last_value", "extreme_value", "start_time", "raise_time", "update_time", "acknowledge_time", "acknowledged_by", "note", "clear_time", "clear_cause", "closed_by", "close_reason", "historical", "revocation")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Alarm.State]
        PENDING: _ClassVar[Alarm.State]
        RAISED: _ClassVar[Alarm.State]
        ACKNOWLEDGED: _ClassVar[Alarm.State]
        CLEARED: _ClassVar[Alarm.State]
    STATE_UNSPECIFIED: Alarm.State
    PENDING: Alarm.State
    RAISED: Alarm.State
    ACKNOWLEDGED: Alarm.State
    CLEARED: Alarm.State
    class ClearCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CLEAR_CAUSE_UNSPECIFIED: _ClassVar[Alarm.ClearCause]
        CONDITION_ENDED: _ClassVar[Alarm.ClearCause]
        CLOSED_BY_HAND: _ClassVar[Alarm.ClearCause]
        DEVICE_LEFT: _ClassVar[Alarm.ClearCause]
        RULE_CHANGED: _ClassVar[Alarm.ClearCause]
        READING_AMENDED: _ClassVar[Alarm.ClearCause]
    CLEAR_CAUSE_UNSPECIFIED: Alarm.ClearCause
    CONDITION_ENDED: Alarm.ClearCause
    CLOSED_BY_HAND: Alarm.ClearCause
    DEVICE_LEFT: Alarm.ClearCause
    RULE_CHANGED: Alarm.ClearCause
    READING_AMENDED: Alarm.ClearCause
    class Revocation(_message.Message):
        __slots__ = ("time", "by", "reason")
        TIME_FIELD_NUMBER: _ClassVar[int]
        BY_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        time: _timestamp_pb2.Timestamp
        by: str
        reason: str
        def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LAST_VALUE_FIELD_NUMBER: _ClassVar[int]
    EXTREME_VALUE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    RAISE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CLEAR_TIME_FIELD_NUMBER: _ClassVar[int]
    CLEAR_CAUSE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BY_FIELD_NUMBER: _ClassVar[int]
    CLOSE_REASON_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    REVOCATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    rule: str
    kind: str
    severity: AlarmRule.Severity
    series: _window_pb2.Series
    state: Alarm.State
    message: str
    value: float
    last_value: float
    extreme_value: float
    start_time: _timestamp_pb2.Timestamp
    raise_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    acknowledge_time: _timestamp_pb2.Timestamp
    acknowledged_by: str
    note: str
    clear_time: _timestamp_pb2.Timestamp
    clear_cause: Alarm.ClearCause
    closed_by: str
    close_reason: str
    historical: bool
    revocation: Alarm.Revocation
    def __init__(self, id: _Optional[str] = ..., rule: _Optional[str] = ..., kind: _Optional[str] = ..., severity: _Optional[_Union[AlarmRule.Severity, str]] = ..., series: _Optional[_Union[_window_pb2.Series, _Mapping]] = ..., state: _Optional[_Union[Alarm.State, str]] = ..., message: _Optional[str] = ..., value: _Optional[float] = ..., last_value: _Optional[float] = ..., extreme_value: _Optional[float] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., raise_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledge_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged_by: _Optional[str] = ..., note: _Optional[str] = ..., clear_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., clear_cause: _Optional[_Union[Alarm.ClearCause, str]] = ..., closed_by: _Optional[str] = ..., close_reason: _Optional[str] = ..., historical: _Optional[bool] = ..., revocation: _Optional[_Union[Alarm.Revocation, _Mapping]] = ...) -> None: ...
