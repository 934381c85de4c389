import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
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

class Average(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "unit", "state", "start", "end", "statistics", "provisional", "devices", "devices_without_data")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Average.State]
        OK: _ClassVar[Average.State]
        NO_DATA: _ClassVar[Average.State]
    STATE_UNSPECIFIED: Average.State
    OK: Average.State
    NO_DATA: Average.State
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    DEVICES_WITHOUT_DATA_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    unit: str
    state: Average.State
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    statistics: _window_pb2.Statistics
    provisional: bool
    devices: int
    devices_without_data: int
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., unit: _Optional[str] = ..., state: _Optional[_Union[Average.State, str]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., statistics: _Optional[_Union[_window_pb2.Statistics, _Mapping]] = ..., provisional: _Optional[bool] = ..., devices: _Optional[int] = ..., devices_without_data: _Optional[int] = ...) -> None: ...

class GetRoomAverageRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "window", "at", "unit")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    window: _duration_pb2.Duration
    at: _timestamp_pb2.Timestamp
    unit: str
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ...) -> None: ...

class ListWindowsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "room", "sensor_type", "device", "step", "to", "oldest_first")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    room: str
    sensor_type: str
    device: str
    step: _duration_pb2.Duration
    to: _timestamp_pb2.Timestamp
    oldest_first: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., oldest_first: _Optional[bool] = ..., **kwargs) -> None: ...

class ListWindowsResponse(_message.Message):
    __slots__ = ("windows", "next_page_token")
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    windows: _containers.RepeatedCompositeFieldContainer[_window_pb2.Window]
    next_page_token: str
    def __init__(self, windows: _Optional[_Iterable[_Union[_window_pb2.Window, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListReadingsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "room", "sensor_type", "device", "to", "oldest_first")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    room: str
    sensor_type: str
    device: str
    to: _timestamp_pb2.Timestamp
    oldest_first: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., oldest_first: _Optional[bool] = ..., **kwargs) -> None: ...

class ListReadingsResponse(_message.Message):
    __slots__ = ("readings", "unit", "next_page_token")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[_window_pb2.StoredReading]
    unit: str
    next_page_token: str
    def __init__(self, readings: _Optional[_Iterable[_Union[_window_pb2.StoredReading, _Mapping]]] = ..., unit: _Optional[str] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchWindowsRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "step")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    step: _duration_pb2.Duration
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., step: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class GetBuildingAverageRequest(_message.Message):
    __slots__ = ("building", "sensor_type", "window", "at", "unit")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    building: str
    sensor_type: str
    window: _duration_pb2.Duration
    at: _timestamp_pb2.Timestamp
    unit: str
    def __init__(self, building: _Optional[str] = ..., sensor_type: _Optional[str] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ...) -> None: ...

class BuildingAverage(_message.Message):
    __slots__ = ("building", "sensor_type", "unit", "state", "start", "end", "statistics", "provisional", "devices", "rooms", "rooms_with_data", "devices_without_data")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STATISTICS_FIELD_NUMBER: _ClassVar[int]
    PROVISIONAL_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ROOMS_FIELD_NUMBER: _ClassVar[int]
    ROOMS_WITH_DATA_FIELD_NUMBER: _ClassVar[int]
    DEVICES_WITHOUT_DATA_FIELD_NUMBER: _ClassVar[int]
    building: str
    sensor_type: str
    unit: str
    state: Average.State
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    statistics: _window_pb2.Statistics
    provisional: bool
    devices: int
    rooms: int
    rooms_with_data: int
    devices_without_data: int
    def __init__(self, building: _Optional[str] = ..., sensor_type: _Optional[str] = ..., unit: _Optional[str] = ..., state: _Optional[_Union[Average.State, str]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., statistics: _Optional[_Union[_window_pb2.Statistics, _Mapping]] = ..., provisional: _Optional[bool] = ..., devices: _Optional[int] = ..., rooms: _Optional[int] = ..., rooms_with_data: _Optional[int] = ..., devices_without_data: _Optional[int] = ...) -> None: ...

class ListRoomAveragesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "sensor_type", "window", "at", "unit")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    sensor_type: str
    window: _duration_pb2.Duration
    at: _timestamp_pb2.Timestamp
    unit: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., sensor_type: _Optional[str] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ...) -> None: ...

class ListRoomAveragesResponse(_message.Message):
    __slots__ = ("averages", "next_page_token")
    AVERAGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    averages: _containers.RepeatedCompositeFieldContainer[Average]
    next_page_token: str
    def __init__(self, averages: _Optional[_Iterable[_Union[Average, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListCorrectionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "room", "sensor_type", "device", "to")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    room: str
    sensor_type: str
    device: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ListCorrectionsResponse(_message.Message):
    __slots__ = ("corrections", "next_page_token", "total_size")
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    corrections: _containers.RepeatedCompositeFieldContainer[_window_pb2.Correction]
    next_page_token: str
    total_size: int
    def __init__(self, corrections: _Optional[_Iterable[_Union[_window_pb2.Correction, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class RecomputeWindowsRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "to", "include_too_late")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_TOO_LATE_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    to: _timestamp_pb2.Timestamp
    include_too_late: bool
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., include_too_late: _Optional[bool] = ..., **kwargs) -> None: ...

class RecomputeWindowsResponse(_message.Message):
    __slots__ = ("series", "readings", "windows", "changed")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    series: int
    readings: int
    windows: int
    changed: int
    def __init__(self, series: _Optional[int] = ..., readings: _Optional[int] = ..., windows: _Optional[int] = ..., changed: _Optional[int] = ...) -> None: ...

class ListSeriesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "room", "sensor_type")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    room: str
    sensor_type: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ...) -> None: ...

class ListSeriesResponse(_message.Message):
    __slots__ = ("series", "next_page_token")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    series: _containers.RepeatedCompositeFieldContainer[_window_pb2.Series]
    next_page_token: str
    def __init__(self, series: _Optional[_Iterable[_Union[_window_pb2.Series, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VoidReadingRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "event_time", "reason")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    event_time: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidReadingResponse(_message.Message):
    __slots__ = ("reading", "changed", "windows")
    READING_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    reading: _window_pb2.StoredReading
    changed: bool
    windows: int
    def __init__(self, reading: _Optional[_Union[_window_pb2.StoredReading, _Mapping]] = ..., changed: _Optional[bool] = ..., windows: _Optional[int] = ...) -> None: ...

class VoidReadingsRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "to", "reason")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    to: _timestamp_pb2.Timestamp
    reason: str
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., **kwargs) -> None: ...

class VoidReadingsResponse(_message.Message):
    __slots__ = ("readings", "changed", "windows")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    readings: int
    changed: int
    windows: int
    def __init__(self, readings: _Optional[int] = ..., changed: _Optional[int] = ..., windows: _Optional[int] = ...) -> None: ...

class ReplaceReadingRequest(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "event_time", "value", "unit", "reason")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    event_time: _timestamp_pb2.Timestamp
    value: float
    unit: str
    reason: str
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReplaceReadingResponse(_message.Message):
    __slots__ = ("reading", "changed", "windows")
    READING_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    reading: _window_pb2.StoredReading
    changed: bool
    windows: int
    def __init__(self, reading: _Optional[_Union[_window_pb2.StoredReading, _Mapping]] = ..., changed: _Optional[bool] = ..., windows: _Optional[int] = ...) -> None: ...

class ListReadingConflictsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "building", "room", "sensor_type", "device", "to")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    building: str
    room: str
    sensor_type: str
    device: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ListReadingConflictsResponse(_message.Message):
    __slots__ = ("conflicts", "next_page_token")
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    conflicts: _containers.RepeatedCompositeFieldContainer[_window_pb2.StoredReadingConflict]
    next_page_token: str
    def __init__(self, conflicts: _Optional[_Iterable[_Union[_window_pb2.StoredReadingConflict, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DecideCorrectionRequest(_message.Message):
    __slots__ = ("building", "room", "id", "decision", "value", "reason")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    id: str
    decision: _window_pb2.CorrectionDecision.Kind
    value: float
    reason: str
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., id: _Optional[str] = ..., decision: _Optional[_Union[_window_pb2.CorrectionDecision.Kind, str]] = ..., value: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class DecideCorrectionResponse(_message.Message):
    __slots__ = ("correction", "changed", "windows")
    CORRECTION_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    correction: _window_pb2.Correction
    changed: bool
    windows: int
    def __init__(self, correction: _Optional[_Union[_window_pb2.Correction, _Mapping]] = ..., changed: _Optional[bool] = ..., windows: _Optional[int] = ...) -> None: ...
