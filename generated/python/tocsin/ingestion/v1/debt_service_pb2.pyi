import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.ingestion.v1 import debt_file_pb2 as _debt_file_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DebtErasure(_message.Message):
    __slots__ = ("id", "state", "kind", "by", "note", "create_time", "complete_time", "debts", "rejects", "invoices", "documents", "dead_letters")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DebtErasure.State]
        RUNNING: _ClassVar[DebtErasure.State]
        COMPLETED: _ClassVar[DebtErasure.State]
    STATE_UNSPECIFIED: DebtErasure.State
    RUNNING: DebtErasure.State
    COMPLETED: DebtErasure.State
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[DebtErasure.Kind]
        DEBTS: _ClassVar[DebtErasure.Kind]
        GOVERNMENT_ID: _ClassVar[DebtErasure.Kind]
        EMAIL: _ClassVar[DebtErasure.Kind]
    KIND_UNSPECIFIED: DebtErasure.Kind
    DEBTS: DebtErasure.Kind
    GOVERNMENT_ID: DebtErasure.Kind
    EMAIL: DebtErasure.Kind
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    REJECTS_FIELD_NUMBER: _ClassVar[int]
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: DebtErasure.State
    kind: DebtErasure.Kind
    by: str
    note: str
    create_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    debts: int
    rejects: int
    invoices: int
    documents: int
    dead_letters: int
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[DebtErasure.State, str]] = ..., kind: _Optional[_Union[DebtErasure.Kind, str]] = ..., by: _Optional[str] = ..., note: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., debts: _Optional[int] = ..., rejects: _Optional[int] = ..., invoices: _Optional[int] = ..., documents: _Optional[int] = ..., dead_letters: _Optional[int] = ...) -> None: ...

class DebtStatusChange(_message.Message):
    __slots__ = ("status", "change_time", "by", "event", "note")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_TIME_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    status: _debt_file_pb2.Debt.Status
    change_time: _timestamp_pb2.Timestamp
    by: str
    event: str
    note: str
    def __init__(self, status: _Optional[_Union[_debt_file_pb2.Debt.Status, str]] = ..., change_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., event: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class EraseDebtorDataRequest(_message.Message):
    __slots__ = ("debts", "government_id", "email", "note")
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    GOVERNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    debts: _containers.RepeatedScalarFieldContainer[str]
    government_id: str
    email: str
    note: str
    def __init__(self, debts: _Optional[_Iterable[str]] = ..., government_id: _Optional[str] = ..., email: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class GetDebtErasureRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListDebtErasuresRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDebtErasuresResponse(_message.Message):
    __slots__ = ("erasures", "next_page_token")
    ERASURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    erasures: _containers.RepeatedCompositeFieldContainer[DebtErasure]
    next_page_token: str
    def __init__(self, erasures: _Optional[_Iterable[_Union[DebtErasure, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDebtHistoryRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class UpdateDebtRequest(_message.Message):
    __slots__ = ("id", "status", "note", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: _debt_file_pb2.Debt.Status
    note: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[_debt_file_pb2.Debt.Status, str]] = ..., note: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class GetDebtHistoryResponse(_message.Message):
    __slots__ = ("changes",)
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[DebtStatusChange]
    def __init__(self, changes: _Optional[_Iterable[_Union[DebtStatusChange, _Mapping]]] = ...) -> None: ...
