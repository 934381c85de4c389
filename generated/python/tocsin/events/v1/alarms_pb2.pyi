import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AlarmRaised(_message.Message):
    __slots__ = ("alarm", "rule", "kind", "building", "room", "sensor_type", "device", "value", "message", "raise_time", "unit", "severity", "historical")
    ALARM_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RAISE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    HISTORICAL_FIELD_NUMBER: _ClassVar[int]
    alarm: str
    rule: str
    kind: str
    building: str
    room: str
    sensor_type: str
    device: str
    value: float
    message: str
    raise_time: _timestamp_pb2.Timestamp
    unit: str
    severity: str
    historical: bool
    def __init__(self, alarm: _Optional[str] = ..., rule: _Optional[str] = ..., kind: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., value: _Optional[float] = ..., message: _Optional[str] = ..., raise_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ..., severity: _Optional[str] = ..., historical: _Optional[bool] = ...) -> None: ...

class AlarmCleared(_message.Message):
    __slots__ = ("alarm", "rule", "clear_time", "value", "cause")
    ALARM_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    CLEAR_TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    alarm: str
    rule: str
    clear_time: _timestamp_pb2.Timestamp
    value: float
    cause: str
    def __init__(self, alarm: _Optional[str] = ..., rule: _Optional[str] = ..., clear_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ..., cause: _Optional[str] = ...) -> None: ...

class AlarmNotice(_message.Message):
    __slots__ = ("alarm", "rule", "tenant", "users", "title", "body", "severity", "building", "room", "sensor_type", "device", "raise_time", "cleared")
    ALARM_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    BUILDING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    SENSOR_TYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RAISE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLEARED_FIELD_NUMBER: _ClassVar[int]
    alarm: str
    rule: str
    tenant: str
    users: _containers.RepeatedScalarFieldContainer[str]
    title: str
    body: str
    severity: str
    building: str
    room: str
    sensor_type: str
    device: str
    raise_time: _timestamp_pb2.Timestamp
    cleared: bool
    def __init__(self, alarm: _Optional[str] = ..., rule: _Optional[str] = ..., tenant: _Optional[str] = ..., users: _Optional[_Iterable[str]] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., severity: _Optional[str] = ..., building: _Optional[str] = ..., room: _Optional[str] = ..., sensor_type: _Optional[str] = ..., device: _Optional[str] = ..., raise_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cleared: _Optional[bool] = ...) -> None: ...
