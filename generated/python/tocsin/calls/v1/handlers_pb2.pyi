import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HandlerReports(_message.Message):
    __slots__ = ("process", "reports")
    class Report(_message.Message):
        __slots__ = ("handler", "since", "processed", "failed", "calls", "seconds", "slowest", "classes", "last_error", "last_error_time")
        class ClassesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: int
            value: int
            def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
        HANDLER_FIELD_NUMBER: _ClassVar[int]
        SINCE_FIELD_NUMBER: _ClassVar[int]
        PROCESSED_FIELD_NUMBER: _ClassVar[int]
        FAILED_FIELD_NUMBER: _ClassVar[int]
        CALLS_FIELD_NUMBER: _ClassVar[int]
        SECONDS_FIELD_NUMBER: _ClassVar[int]
        SLOWEST_FIELD_NUMBER: _ClassVar[int]
        CLASSES_FIELD_NUMBER: _ClassVar[int]
        LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
        LAST_ERROR_TIME_FIELD_NUMBER: _ClassVar[int]
        handler: str
        since: _timestamp_pb2.Timestamp
        processed: int
        failed: int
        calls: int
        seconds: float
        slowest: float
        classes: _containers.ScalarMap[int, int]
        last_error: str
        last_error_time: _timestamp_pb2.Timestamp
        def __init__(self, handler: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., processed: _Optional[int] = ..., failed: _Optional[int] = ..., calls: _Optional[int] = ..., seconds: _Optional[float] = ..., slowest: _Optional[float] = ..., classes: _Optional[_Mapping[int, int]] = ..., last_error: _Optional[str] = ..., last_error_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    process: str
    reports: _containers.RepeatedCompositeFieldContainer[HandlerReports.Report]
    def __init__(self, process: _Optional[str] = ..., reports: _Optional[_Iterable[_Union[HandlerReports.Report, _Mapping]]] = ...) -> None: ...
