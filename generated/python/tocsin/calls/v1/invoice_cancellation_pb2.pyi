from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class CancelInvoicesRequest(_message.Message):
    __slots__ = ("debt_file", "after", "kept")
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    after: str
    kept: bool
    def __init__(self, debt_file: _Optional[str] = ..., after: _Optional[str] = ..., kept: _Optional[bool] = ...) -> None: ...

class CancelInvoicesResponse(_message.Message):
    __slots__ = ("cancelled_to", "waiting", "kept")
    CANCELLED_TO_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    cancelled_to: str
    waiting: bool
    kept: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cancelled_to: _Optional[str] = ..., waiting: _Optional[bool] = ..., kept: _Optional[_Iterable[str]] = ...) -> None: ...
