import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InvoicesChanged(_message.Message):
    __slots__ = ("debt_file", "changes")
    class Change(_message.Message):
        __slots__ = ("debt", "version", "state", "change_time", "doubtful", "code")
        DEBT_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
        DOUBTFUL_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        debt: str
        version: int
        state: str
        change_time: _timestamp_pb2.Timestamp
        doubtful: bool
        code: str
        def __init__(self, debt: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[str] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., doubtful: _Optional[bool] = ..., code: _Optional[str] = ...) -> None: ...
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    changes: _containers.RepeatedCompositeFieldContainer[InvoicesChanged.Change]
    def __init__(self, debt_file: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[InvoicesChanged.Change, _Mapping]]] = ...) -> None: ...
