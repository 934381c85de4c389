from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CountingValuesRequest(_message.Message):
    __slots__ = ("readings",)
    READINGS_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[ReadingTime]
    def __init__(self, readings: _Optional[_Iterable[_Union[ReadingTime, _Mapping]]] = ...) -> None: ...

class ReadingTime(_message.Message):
    __slots__ = ("building", "room", "sensor_type", "device", "event_time_us")
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    building: str
    room: str
    sensor_type: str
    device: str
    event_time_us: int
    def __init__(self, building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., event_time_us: _Optional[int] = ...) -> None: ...

class CountingValuesResponse(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[CountingValue]
    def __init__(self, values: _Optional[_Iterable[_Union[CountingValue, _Mapping]]] = ...) -> None: ...

class CountingValue(_message.Message):
    __slots__ = ("stored", "value", "amended")
    STORED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    AMENDED_FIELD_NUMBER: _ClassVar[int]
    stored: bool
    value: float
    amended: bool
    def __init__(self, stored: _Optional[bool] = ..., value: _Optional[float] = ..., amended: _Optional[bool] = ...) -> None: ...
