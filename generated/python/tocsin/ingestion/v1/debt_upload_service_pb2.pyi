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
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DebtUpload(_message.Message):
    __slots__ = ("id", "state", "way", "url", "content_type", "size", "sha256", "received", "filename", "error", "create_time", "expire_time", "tus_metadata", "headers")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DebtUpload.State]
        OPEN: _ClassVar[DebtUpload.State]
        WHOLE: _ClassVar[DebtUpload.State]
        ENDED: _ClassVar[DebtUpload.State]
        EXPIRED: _ClassVar[DebtUpload.State]
        CANCELLED: _ClassVar[DebtUpload.State]
        FAILED: _ClassVar[DebtUpload.State]
    STATE_UNSPECIFIED: DebtUpload.State
    OPEN: DebtUpload.State
    WHOLE: DebtUpload.State
    ENDED: DebtUpload.State
    EXPIRED: DebtUpload.State
    CANCELLED: DebtUpload.State
    FAILED: DebtUpload.State
    class Way(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WAY_UNSPECIFIED: _ClassVar[DebtUpload.Way]
        SIGNED_URL: _ClassVar[DebtUpload.Way]
        RESUMABLE: _ClassVar[DebtUpload.Way]
        BUCKET: _ClassVar[DebtUpload.Way]
    WAY_UNSPECIFIED: DebtUpload.Way
    SIGNED_URL: DebtUpload.Way
    RESUMABLE: DebtUpload.Way
    BUCKET: DebtUpload.Way
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WAY_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TUS_METADATA_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: DebtUpload.State
    way: DebtUpload.Way
    url: str
    content_type: str
    size: int
    sha256: str
    received: int
    filename: str
    error: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    tus_metadata: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[DebtUpload.State, str]] = ..., way: _Optional[_Union[DebtUpload.Way, str]] = ..., url: _Optional[str] = ..., content_type: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., received: _Optional[int] = ..., filename: _Optional[str] = ..., error: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tus_metadata: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateDebtUploadRequest(_message.Message):
    __slots__ = ("filename", "size", "sha256", "content_type", "expire_seconds", "way", "dry_run", "reject_limit", "reject_percent", "profile", "charset", "locale", "currency", "language", "tus_metadata", "issuer")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAY_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REJECT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    REJECT_PERCENT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    CHARSET_FIELD_NUMBER: _ClassVar[int]
    LOCALE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TUS_METADATA_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    filename: str
    size: int
    sha256: str
    content_type: str
    expire_seconds: int
    way: DebtUpload.Way
    dry_run: bool
    reject_limit: int
    reject_percent: float
    profile: str
    charset: str
    locale: str
    currency: str
    language: str
    tus_metadata: str
    issuer: str
    def __init__(self, filename: _Optional[str] = ..., size: _Optional[int] = ..., sha256: _Optional[str] = ..., content_type: _Optional[str] = ..., expire_seconds: _Optional[int] = ..., way: _Optional[_Union[DebtUpload.Way, str]] = ..., dry_run: _Optional[bool] = ..., reject_limit: _Optional[int] = ..., reject_percent: _Optional[float] = ..., profile: _Optional[str] = ..., charset: _Optional[str] = ..., locale: _Optional[str] = ..., currency: _Optional[str] = ..., language: _Optional[str] = ..., tus_metadata: _Optional[str] = ..., issuer: _Optional[str] = ...) -> None: ...

class PutDebtUploadRequest(_message.Message):
    __slots__ = ("head", "chunk")
    class Head(_message.Message):
        __slots__ = ("token", "content_type", "size")
        TOKEN_FIELD_NUMBER: _ClassVar[int]
        CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        token: str
        content_type: str
        size: int
        def __init__(self, token: _Optional[str] = ..., content_type: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    head: PutDebtUploadRequest.Head
    chunk: bytes
    def __init__(self, head: _Optional[_Union[PutDebtUploadRequest.Head, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class AppendDebtUploadRequest(_message.Message):
    __slots__ = ("head", "chunk")
    class ChecksumAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHECKSUM_ALGORITHM_UNSPECIFIED: _ClassVar[AppendDebtUploadRequest.ChecksumAlgorithm]
        SHA1: _ClassVar[AppendDebtUploadRequest.ChecksumAlgorithm]
        SHA256: _ClassVar[AppendDebtUploadRequest.ChecksumAlgorithm]
        MD5: _ClassVar[AppendDebtUploadRequest.ChecksumAlgorithm]
    CHECKSUM_ALGORITHM_UNSPECIFIED: AppendDebtUploadRequest.ChecksumAlgorithm
    SHA1: AppendDebtUploadRequest.ChecksumAlgorithm
    SHA256: AppendDebtUploadRequest.ChecksumAlgorithm
    MD5: AppendDebtUploadRequest.ChecksumAlgorithm
    class Head(_message.Message):
        __slots__ = ("id", "offset", "checksum_algorithm", "checksum", "size")
        ID_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        CHECKSUM_ALGORITHM_FIELD_NUMBER: _ClassVar[int]
        CHECKSUM_FIELD_NUMBER: _ClassVar[int]
        SIZE_FIELD_NUMBER: _ClassVar[int]
        id: str
        offset: int
        checksum_algorithm: AppendDebtUploadRequest.ChecksumAlgorithm
        checksum: bytes
        size: int
        def __init__(self, id: _Optional[str] = ..., offset: _Optional[int] = ..., checksum_algorithm: _Optional[_Union[AppendDebtUploadRequest.ChecksumAlgorithm, str]] = ..., checksum: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    head: AppendDebtUploadRequest.Head
    chunk: bytes
    def __init__(self, head: _Optional[_Union[AppendDebtUploadRequest.Head, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class TellBucketEventRequest(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _httpbody_pb2.HttpBody
    def __init__(self, event: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class TellBucketEventResponse(_message.Message):
    __slots__ = ("found",)
    FOUND_FIELD_NUMBER: _ClassVar[int]
    found: int
    def __init__(self, found: _Optional[int] = ...) -> None: ...

class GetDebtUploadRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteDebtUploadRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
