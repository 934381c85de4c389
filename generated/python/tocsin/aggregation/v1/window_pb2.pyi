import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class Statistics(_message.Message):
    __slots__ = ("count", "min", "max", "first", "last", "mean", "time_weighted_mean", "received_ratio", "covered_ratio", "longest_gap", "consumption")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    TIME_WEIGHTED_MEAN_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_RATIO_FIELD_NUMBER: _ClassVar[int]
    COVERED_RATIO_FIELD_NUMBER: _ClassVar[int]
    LONGEST_GAP_FIELD_NUMBER: _ClassVar[int]
    CONSUMPTION_FIELD_NUMBER: _ClassVar[int]
    count: int
    min: float
    max: float
    first: float
    last: float
    mean: float
    time_weighted_mean: float
    received_ratio: float
    covered_ratio: float
    longest_gap: _duration_pb2.Duration
    consumption: float
    def __init__(self, count: _Optional[int] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., first: _Optional[float] = ..., last: _Optional[float] = ..., mean: _Optional[float] = ..., time_weighted_mean: _Optional[float] = ..., received_ratio: _Optional[float] = ..., covered_ratio: _Optional[float] = ..., longest_gap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., consumption: _Optional[float] = ...) -> None: ...

class Window(_message.Message):
    __slots__ = ("series", "step", "start", "end", "statistics", "provisional", "revision")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    series: Series
    step: _duration_pb2.Duration
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    statistics: Statistics
    provisional: bool
    revision: int
    def __init__(self, series: _Optional[_Union[Series, _Mapping]] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., statistics: _Optional[_Union[Statistics, _Mapping]] = ..., provisional: _Optional[bool] = ..., revision: _Optional[int] = ...) -> None: ...

class StoredReading(_message.Message):
    __slots__ = ("event_time", "value", "device", "amendment")
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    AMENDMENT_FIELD_NUMBER: _ClassVar[int]
    event_time: _timestamp_pb2.Timestamp
    value: float
    device: str
    amendment: Amendment
    def __init__(self, event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., device: _Optional[str] = ..., amendment: _Optional[_Union[Amendment, _Mapping]] = ...) -> None: ...

class StoredReadingConflict(_message.Message):
    __slots__ = ("series", "event_time", "value", "counting_value", "outcome", "create_time", "count")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[StoredReadingConflict.Outcome]
        IGNORED: _ClassVar[StoredReadingConflict.Outcome]
        SUPERSEDED: _ClassVar[StoredReadingConflict.Outcome]
    OUTCOME_UNSPECIFIED: StoredReadingConflict.Outcome
    IGNORED: StoredReadingConflict.Outcome
    SUPERSEDED: StoredReadingConflict.Outcome
    SERIES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNTING_VALUE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    series: Series
    event_time: _timestamp_pb2.Timestamp
    value: float
    counting_value: float
    outcome: StoredReadingConflict.Outcome
    create_time: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, series: _Optional[_Union[Series, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., counting_value: _Optional[float] = ..., outcome: _Optional[_Union[StoredReadingConflict.Outcome, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class Amendment(_message.Message):
    __slots__ = ("kind", "original_value", "author", "reason", "create_time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Amendment.Kind]
        VOIDED: _ClassVar[Amendment.Kind]
        REPLACED: _ClassVar[Amendment.Kind]
    KIND_UNSPECIFIED: Amendment.Kind
    VOIDED: Amendment.Kind
    REPLACED: Amendment.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_VALUE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    kind: Amendment.Kind
    original_value: float
    author: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[Amendment.Kind, str]] = ..., original_value: _Optional[float] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Correction(_message.Message):
    __slots__ = ("series", "event_time", "value", "level", "kind", "readings", "last_event_time", "doubt", "id", "decision")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Correction.Kind]
        GLITCH: _ClassVar[Correction.Kind]
        RESET: _ClassVar[Correction.Kind]
        ROLLOVER: _ClassVar[Correction.Kind]
        JUMP: _ClassVar[Correction.Kind]
        REJECTED: _ClassVar[Correction.Kind]
        REVOKED: _ClassVar[Correction.Kind]
        STEEP: _ClassVar[Correction.Kind]
    KIND_UNSPECIFIED: Correction.Kind
    GLITCH: Correction.Kind
    RESET: Correction.Kind
    ROLLOVER: Correction.Kind
    JUMP: Correction.Kind
    REJECTED: Correction.Kind
    REVOKED: Correction.Kind
    STEEP: Correction.Kind
    class Doubt(_message.Message):
        __slots__ = ("booked", "otherwise")
        BOOKED_FIELD_NUMBER: _ClassVar[int]
        OTHERWISE_FIELD_NUMBER: _ClassVar[int]
        booked: float
        otherwise: float
        def __init__(self, booked: _Optional[float] = ..., otherwise: _Optional[float] = ...) -> None: ...
    SERIES_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    DOUBT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    series: Series
    event_time: _timestamp_pb2.Timestamp
    value: float
    level: float
    kind: Correction.Kind
    readings: int
    last_event_time: _timestamp_pb2.Timestamp
    doubt: Correction.Doubt
    id: str
    decision: CorrectionDecision
    def __init__(self, series: _Optional[_Union[Series, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., level: _Optional[float] = ..., kind: _Optional[_Union[Correction.Kind, str]] = ..., readings: _Optional[int] = ..., last_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., doubt: _Optional[_Union[Correction.Doubt, _Mapping]] = ..., id: _Optional[str] = ..., decision: _Optional[_Union[CorrectionDecision, _Mapping]] = ...) -> None: ...

class CorrectionDecision(_message.Message):
    __slots__ = ("kind", "value", "author", "reason", "create_time", "withdrawn")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[CorrectionDecision.Kind]
        GLITCH: _ClassVar[CorrectionDecision.Kind]
        RESET: _ClassVar[CorrectionDecision.Kind]
        IGNORE: _ClassVar[CorrectionDecision.Kind]
        VALUE: _ClassVar[CorrectionDecision.Kind]
    KIND_UNSPECIFIED: CorrectionDecision.Kind
    GLITCH: CorrectionDecision.Kind
    RESET: CorrectionDecision.Kind
    IGNORE: CorrectionDecision.Kind
    VALUE: CorrectionDecision.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    kind: CorrectionDecision.Kind
    value: float
    author: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    withdrawn: bool
    def __init__(self, kind: _Optional[_Union[CorrectionDecision.Kind, str]] = ..., value: _Optional[float] = ..., author: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withdrawn: _Optional[bool] = ...) -> None: ...
