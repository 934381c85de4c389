from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class CancelInvoicesRequest(_message.Message):
    __slots__ = ("debt_file", "after")
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    after: str
    def __init__(self, debt_file: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class CancelInvoicesResponse(_message.Message):
    __slots__ = ("unfinished", "kept")
    UNFINISHED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    unfinished: bool
    kept: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, unfinished: _Optional[bool] = ..., kept: _Optional[_Iterable[str]] = ...) -> None: ...
