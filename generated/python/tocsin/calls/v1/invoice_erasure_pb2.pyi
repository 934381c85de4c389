from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EraseInvoicesRequest(_message.Message):
    __slots__ = ("debts", "government_id", "email")
    class Debt(_message.Message):
        __slots__ = ("id", "debt_file")
        ID_FIELD_NUMBER: _ClassVar[int]
        DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
        id: str
        debt_file: str
        def __init__(self, id: _Optional[str] = ..., debt_file: _Optional[str] = ...) -> None: ...
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    GOVERNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    debts: _containers.RepeatedCompositeFieldContainer[EraseInvoicesRequest.Debt]
    government_id: str
    email: str
    def __init__(self, debts: _Optional[_Iterable[_Union[EraseInvoicesRequest.Debt, _Mapping]]] = ..., government_id: _Optional[str] = ..., email: _Optional[str] = ...) -> None: ...

class EraseInvoicesResponse(_message.Message):
    __slots__ = ("invoices", "documents", "letters", "more", "waiting")
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    LETTERS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    invoices: int
    documents: int
    letters: int
    more: bool
    waiting: bool
    def __init__(self, invoices: _Optional[int] = ..., documents: _Optional[int] = ..., letters: _Optional[int] = ..., more: _Optional[bool] = ..., waiting: _Optional[bool] = ...) -> None: ...
