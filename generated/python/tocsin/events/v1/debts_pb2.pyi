import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DebtsRegistered(_message.Message):
    __slots__ = ("debt_file", "debts", "issuer")
    class Debt(_message.Message):
        __slots__ = ("id", "name", "government_id", "email", "amount", "due_date", "currency", "language")
        ID_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        GOVERNMENT_ID_FIELD_NUMBER: _ClassVar[int]
        EMAIL_FIELD_NUMBER: _ClassVar[int]
        AMOUNT_FIELD_NUMBER: _ClassVar[int]
        DUE_DATE_FIELD_NUMBER: _ClassVar[int]
        CURRENCY_FIELD_NUMBER: _ClassVar[int]
        LANGUAGE_FIELD_NUMBER: _ClassVar[int]
        id: str
        name: str
        government_id: str
        email: str
        amount: str
        due_date: str
        currency: str
        language: str
        def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., government_id: _Optional[str] = ..., email: _Optional[str] = ..., amount: _Optional[str] = ..., due_date: _Optional[str] = ..., currency: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    debts: _containers.RepeatedCompositeFieldContainer[DebtsRegistered.Debt]
    issuer: str
    def __init__(self, debt_file: _Optional[str] = ..., debts: _Optional[_Iterable[_Union[DebtsRegistered.Debt, _Mapping]]] = ..., issuer: _Optional[str] = ...) -> None: ...

class DebtDecided(_message.Message):
    __slots__ = ("debt_file", "debt", "status", "version", "issuer")
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    DEBT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    debt: DebtsRegistered.Debt
    status: str
    version: int
    issuer: str
    def __init__(self, debt_file: _Optional[str] = ..., debt: _Optional[_Union[DebtsRegistered.Debt, _Mapping]] = ..., status: _Optional[str] = ..., version: _Optional[int] = ..., issuer: _Optional[str] = ...) -> None: ...

class DebtFileCompleted(_message.Message):
    __slots__ = ("debt_file", "state", "rows", "accepted", "duplicates", "rejected", "complete_time")
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    state: str
    rows: int
    accepted: int
    duplicates: int
    rejected: int
    complete_time: _timestamp_pb2.Timestamp
    def __init__(self, debt_file: _Optional[str] = ..., state: _Optional[str] = ..., rows: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[int] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
