import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetHandlerStatisticsRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class GetHandlerStatisticsResponse(_message.Message):
    __slots__ = ("handlers", "processes")
    class Handler(_message.Message):
        __slots__ = ("handler", "processed", "failed", "calls", "mean_time", "p95_time", "slowest_time", "last_error", "last_error_time", "since", "processes")
        HANDLER_FIELD_NUMBER: _ClassVar[int]
        PROCESSED_FIELD_NUMBER: _ClassVar[int]
        FAILED_FIELD_NUMBER: _ClassVar[int]
        CALLS_FIELD_NUMBER: _ClassVar[int]
        MEAN_TIME_FIELD_NUMBER: _ClassVar[int]
        P95_TIME_FIELD_NUMBER: _ClassVar[int]
        SLOWEST_TIME_FIELD_NUMBER: _ClassVar[int]
        LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
        LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
        SINCE_FIELD_NUMBER: _ClassVar[int]
        PROCESSES_FIELD_NUMBER: _ClassVar[int]
        handler: str
        processed: int
        failed: int
        calls: int
        mean_time: _duration_pb2.Duration
        p95_time: _duration_pb2.Duration
        slowest_time: _duration_pb2.Duration
        last_error: str
        last_error_time: _timestamp_pb2.Timestamp
        since: _timestamp_pb2.Timestamp
        processes: int
        def __init__(self, handler: _Optional[str] = ..., processed: _Optional[int] = ..., failed: _Optional[int] = ..., calls: _Optional[int] = ..., mean_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p95_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., slowest_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., last_error: _Optional[str] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., processes: _Optional[int] = ...) -> None: ...
    HANDLERS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    handlers: _containers.RepeatedCompositeFieldContainer[GetHandlerStatisticsResponse.Handler]
    processes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, handlers: _Optional[_Iterable[_Union[GetHandlerStatisticsResponse.Handler, _Mapping]]] = ..., processes: _Optional[_Iterable[str]] = ...) -> None: ...
