import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.ingestion.v1 import reading_pb2 as _reading_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitPayloadRequest(_message.Message):
    __slots__ = ("format", "payload")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    format: str
    payload: _httpbody_pb2.HttpBody
    def __init__(self, format: _Optional[str] = ..., payload: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class SubmitPayloadResponse(_message.Message):
    __slots__ = ("readings", "priority", "conflicts")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[_reading_pb2.Reading]
    priority: bool
    conflicts: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ReadingConflict]
    def __init__(self, readings: _Optional[_Iterable[_Union[_reading_pb2.Reading, _Mapping]]] = ..., priority: _Optional[bool] = ..., conflicts: _Optional[_Iterable[_Union[_reading_pb2.ReadingConflict, _Mapping]]] = ...) -> None: ...

class TestPayloadRequest(_message.Message):
    __slots__ = ("format", "payload")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    format: str
    payload: _httpbody_pb2.HttpBody
    def __init__(self, format: _Optional[str] = ..., payload: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class TestPayloadResponse(_message.Message):
    __slots__ = ("readings", "warnings", "errors")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[_reading_pb2.Reading]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ItemRejection]
    def __init__(self, readings: _Optional[_Iterable[_Union[_reading_pb2.Reading, _Mapping]]] = ..., warnings: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[_Union[_reading_pb2.ItemRejection, _Mapping]]] = ...) -> None: ...

class EmptyDeviceRequest(_message.Message):
    __slots__ = ("device",)
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    device: str
    def __init__(self, device: _Optional[str] = ...) -> None: ...

class EmptyDeviceResponse(_message.Message):
    __slots__ = ("reading",)
    READING_FIELD_NUMBER: _ClassVar[int]
    reading: _reading_pb2.Reading
    def __init__(self, reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ...) -> None: ...

class QuarantinedPayload(_message.Message):
    __slots__ = ("id", "format", "payload", "reason", "field", "create_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    format: str
    payload: bytes
    reason: str
    field: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., format: _Optional[str] = ..., payload: _Optional[bytes] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListQuarantinedPayloadsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "format")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    format: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., format: _Optional[str] = ...) -> None: ...

class ListQuarantinedPayloadsResponse(_message.Message):
    __slots__ = ("payloads", "next_page_token")
    PAYLOADS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    payloads: _containers.RepeatedCompositeFieldContainer[QuarantinedPayload]
    next_page_token: str
    def __init__(self, payloads: _Optional[_Iterable[_Union[QuarantinedPayload, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReplayQuarantinedPayloadRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
