import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.ingestion.v1 import debt_file_pb2 as _debt_file_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UploadDebtFileRequest(_message.Message):
    __slots__ = ("metadata", "chunk")
    class Metadata(_message.Message):
        __slots__ = ("filename", "dry_run", "id", "reject_limit", "reject_percent", "profile", "charset", "locale", "currency", "language", "issuer")
        FILENAME_FIELD_NUMBER: _ClassVar[int]
        DRY_RUN_FIELD_NUMBER: _ClassVar[int]
        ID_FIELD_NUMBER: _ClassVar[int]
        REJECT_LIMIT_FIELD_NUMBER: _ClassVar[int]
        REJECT_PERCENT_FIELD_NUMBER: _ClassVar[int]
        PROFILE_FIELD_NUMBER: _ClassVar[int]
        CHARSET_FIELD_NUMBER: _ClassVar[int]
        LOCALE_FIELD_NUMBER: _ClassVar[int]
        CURRENCY_FIELD_NUMBER: _ClassVar[int]
        LANGUAGE_FIELD_NUMBER: _ClassVar[int]
        ISSUER_FIELD_NUMBER: _ClassVar[int]
        filename: str
        dry_run: bool
        id: str
        reject_limit: int
        reject_percent: float
        profile: str
        charset: str
        locale: str
        currency: str
        language: str
        issuer: str
        def __init__(self, filename: _Optional[str] = ..., dry_run: _Optional[bool] = ..., id: _Optional[str] = ..., reject_limit: _Optional[int] = ..., reject_percent: _Optional[float] = ..., profile: _Optional[str] = ..., charset: _Optional[str] = ..., locale: _Optional[str] = ..., currency: _Optional[str] = ..., language: _Optional[str] = ..., issuer: _Optional[str] = ...) -> None: ...
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    metadata: UploadDebtFileRequest.Metadata
    chunk: bytes
    def __init__(self, metadata: _Optional[_Union[UploadDebtFileRequest.Metadata, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class GetDebtFileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListDebtFilesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "page", "states", "to", "filename")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    page: int
    states: _containers.RepeatedScalarFieldContainer[_debt_file_pb2.DebtFile.State]
    to: _timestamp_pb2.Timestamp
    filename: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., page: _Optional[int] = ..., states: _Optional[_Iterable[_Union[_debt_file_pb2.DebtFile.State, str]]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., filename: _Optional[str] = ..., **kwargs) -> None: ...

class ListDebtFilesResponse(_message.Message):
    __slots__ = ("debt_files", "next_page_token", "total_size")
    DEBT_FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    debt_files: _containers.RepeatedCompositeFieldContainer[_debt_file_pb2.DebtFile]
    next_page_token: str
    total_size: int
    def __init__(self, debt_files: _Optional[_Iterable[_Union[_debt_file_pb2.DebtFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class CancelDebtFileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RollBackDebtFileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WatchDebtFileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListDebtFileRejectsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "id")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    id: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ListDebtFileRejectsResponse(_message.Message):
    __slots__ = ("rejects", "next_page_token", "reasons")
    class ReasonCount(_message.Message):
        __slots__ = ("reason", "rows")
        REASON_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        reason: str
        rows: int
        def __init__(self, reason: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...
    REJECTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    rejects: _containers.RepeatedCompositeFieldContainer[_debt_file_pb2.DebtFileReject]
    next_page_token: str
    reasons: _containers.RepeatedCompositeFieldContainer[ListDebtFileRejectsResponse.ReasonCount]
    def __init__(self, rejects: _Optional[_Iterable[_Union[_debt_file_pb2.DebtFileReject, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., reasons: _Optional[_Iterable[_Union[ListDebtFileRejectsResponse.ReasonCount, _Mapping]]] = ...) -> None: ...

class DownloadDebtFileRejectsRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListDebtsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "debt_file", "due_from", "statuses", "due_to")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    DUE_FROM_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    DUE_TO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    debt_file: str
    due_from: str
    statuses: _containers.RepeatedScalarFieldContainer[_debt_file_pb2.Debt.Status]
    due_to: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., debt_file: _Optional[str] = ..., due_from: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_debt_file_pb2.Debt.Status, str]]] = ..., due_to: _Optional[str] = ...) -> None: ...

class ListDebtsResponse(_message.Message):
    __slots__ = ("debts", "next_page_token")
    DEBTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    debts: _containers.RepeatedCompositeFieldContainer[_debt_file_pb2.Debt]
    next_page_token: str
    def __init__(self, debts: _Optional[_Iterable[_Union[_debt_file_pb2.Debt, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDebtRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CreateDebtFileProfileRequest(_message.Message):
    __slots__ = ("profile",)
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    profile: _debt_file_pb2.DebtFileProfile
    def __init__(self, profile: _Optional[_Union[_debt_file_pb2.DebtFileProfile, _Mapping]] = ...) -> None: ...

class GetDebtFileProfileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ListDebtFileProfilesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDebtFileProfilesResponse(_message.Message):
    __slots__ = ("profiles", "next_page_token")
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    profiles: _containers.RepeatedCompositeFieldContainer[_debt_file_pb2.DebtFileProfile]
    next_page_token: str
    def __init__(self, profiles: _Optional[_Iterable[_Union[_debt_file_pb2.DebtFileProfile, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDebtFileProfileRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
