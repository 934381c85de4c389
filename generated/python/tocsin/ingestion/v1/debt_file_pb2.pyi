import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DebtFile(_message.Message):
    __slots__ = ("id", "filename", "state", "bytes", "rows", "accepted", "duplicates", "rejected", "sha256", "error", "create_time", "complete_time", "identical_to", "dry_run", "note", "rolled_back", "kept", "issuer")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DebtFile.State]
        RECEIVING: _ClassVar[DebtFile.State]
        PROCESSING: _ClassVar[DebtFile.State]
        COMPLETED: _ClassVar[DebtFile.State]
        COMPLETED_WITH_REJECTS: _ClassVar[DebtFile.State]
        FAILED: _ClassVar[DebtFile.State]
        CANCELLED: _ClassVar[DebtFile.State]
        ROLLED_BACK: _ClassVar[DebtFile.State]
        ROLLING_BACK: _ClassVar[DebtFile.State]
        EXPECTED: _ClassVar[DebtFile.State]
    STATE_UNSPECIFIED: DebtFile.State
    RECEIVING: DebtFile.State
    PROCESSING: DebtFile.State
    COMPLETED: DebtFile.State
    COMPLETED_WITH_REJECTS: DebtFile.State
    FAILED: DebtFile.State
    CANCELLED: DebtFile.State
    ROLLED_BACK: DebtFile.State
    ROLLING_BACK: DebtFile.State
    EXPECTED: DebtFile.State
    ID_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_TIME_FIELD_NUMBER: _ClassVar[int]
    IDENTICAL_TO_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    id: str
    filename: str
    state: DebtFile.State
    bytes: int
    rows: int
    accepted: int
    duplicates: int
    rejected: int
    sha256: str
    error: str
    create_time: _timestamp_pb2.Timestamp
    complete_time: _timestamp_pb2.Timestamp
    identical_to: str
    dry_run: bool
    note: str
    rolled_back: int
    kept: int
    issuer: str
    def __init__(self, id: _Optional[str] = ..., filename: _Optional[str] = ..., state: _Optional[_Union[DebtFile.State, str]] = ..., bytes: _Optional[int] = ..., rows: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected: _Optional[int] = ..., sha256: _Optional[str] = ..., error: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., complete_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., identical_to: _Optional[str] = ..., dry_run: _Optional[bool] = ..., note: _Optional[str] = ..., rolled_back: _Optional[int] = ..., kept: _Optional[int] = ..., issuer: _Optional[str] = ...) -> None: ...

class DebtFileReject(_message.Message):
    __slots__ = ("line", "reason", "column", "message", "raw", "broken_rules")
    class BrokenRule(_message.Message):
        __slots__ = ("reason", "column", "message")
        REASON_FIELD_NUMBER: _ClassVar[int]
        COLUMN_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        reason: str
        column: str
        message: str
        def __init__(self, reason: _Optional[str] = ..., column: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
    LINE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    BROKEN_RULES_FIELD_NUMBER: _ClassVar[int]
    line: int
    reason: str
    column: str
    message: str
    raw: str
    broken_rules: _containers.RepeatedCompositeFieldContainer[DebtFileReject.BrokenRule]
    def __init__(self, line: _Optional[int] = ..., reason: _Optional[str] = ..., column: _Optional[str] = ..., message: _Optional[str] = ..., raw: _Optional[str] = ..., broken_rules: _Optional[_Iterable[_Union[DebtFileReject.BrokenRule, _Mapping]]] = ...) -> None: ...

class DebtFileProfile(_message.Message):
    __slots__ = ("id", "columns", "other_columns", "charset", "locale", "currency", "language", "issuer", "create_time")
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    OTHER_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    CHARSET_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    columns: _containers.ScalarMap[str, str]
    other_columns: bool
    charset: str
    locale: str
    currency: str
    language: str
    issuer: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., columns: _Optional[_Mapping[str, str]] = ..., other_columns: _Optional[bool] = ..., charset: _Optional[str] = ..., locale: _Optional[str] = ..., currency: _Optional[str] = ..., language: _Optional[str] = ..., issuer: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Debt(_message.Message):
    __slots__ = ("id", "name", "government_id", "email", "amount", "due_date", "debt_file", "create_time", "currency", "language", "line", "status", "version", "erased")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Debt.Status]
        REGISTERED: _ClassVar[Debt.Status]
        INVOICED: _ClassVar[Debt.Status]
        MAILED: _ClassVar[Debt.Status]
        PAID: _ClassVar[Debt.Status]
        CANCELLED: _ClassVar[Debt.Status]
        FAILED: _ClassVar[Debt.Status]
    STATUS_UNSPECIFIED: Debt.Status
    REGISTERED: Debt.Status
    INVOICED: Debt.Status
    MAILED: Debt.Status
    PAID: Debt.Status
    CANCELLED: Debt.Status
    FAILED: Debt.Status
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    GOVERNMENT_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DUE_DATE_FIELD_NUMBER: _ClassVar[int]
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    government_id: str
    email: str
    amount: str
    due_date: str
    debt_file: str
    create_time: _timestamp_pb2.Timestamp
    currency: str
    language: str
    line: int
    status: Debt.Status
    version: int
    erased: bool
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., government_id: _Optional[str] = ..., email: _Optional[str] = ..., amount: _Optional[str] = ..., due_date: _Optional[str] = ..., debt_file: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., currency: _Optional[str] = ..., language: _Optional[str] = ..., line: _Optional[int] = ..., status: _Optional[_Union[Debt.Status, str]] = ..., version: _Optional[int] = ..., erased: _Optional[bool] = ...) -> None: ...
