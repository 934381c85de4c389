from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from tocsin.ingestion.v1 import reading_pb2 as _reading_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateReadingRequest(_message.Message):
    __slots__ = ("reading", "idempotency_key")
    READING_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    reading: _reading_pb2.Reading
    idempotency_key: str
    def __init__(self, reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class CreateReadingResponse(_message.Message):
    __slots__ = ("reading", "duplicate", "conflict")
    READING_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    reading: _reading_pb2.Reading
    duplicate: bool
    conflict: _reading_pb2.ReadingConflict
    def __init__(self, reading: _Optional[_Union[_reading_pb2.Reading, _Mapping]] = ..., duplicate: _Optional[bool] = ..., conflict: _Optional[_Union[_reading_pb2.ReadingConflict, _Mapping]] = ...) -> None: ...

class BatchCreateReadingsRequest(_message.Message):
    __slots__ = ("readings", "idempotency_key")
    READINGS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    readings: _containers.RepeatedCompositeFieldContainer[_reading_pb2.Reading]
    idempotency_key: str
    def __init__(self, readings: _Optional[_Iterable[_Union[_reading_pb2.Reading, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class BatchCreateReadingsResponse(_message.Message):
    __slots__ = ("accepted", "rejections", "duplicate", "ignored", "conflicts")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ItemRejection]
    duplicate: bool
    ignored: int
    conflicts: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ReadingConflict]
    def __init__(self, accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_reading_pb2.ItemRejection, _Mapping]]] = ..., duplicate: _Optional[bool] = ..., ignored: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[_reading_pb2.ReadingConflict, _Mapping]]] = ...) -> None: ...

class ImportReadingsResponse(_message.Message):
    __slots__ = ("accepted", "rejected", "rejections", "ignored", "conflicts")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    rejected: int
    rejections: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ItemRejection]
    ignored: int
    conflicts: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ReadingConflict]
    def __init__(self, accepted: _Optional[int] = ..., rejected: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_reading_pb2.ItemRejection, _Mapping]]] = ..., ignored: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[_reading_pb2.ReadingConflict, _Mapping]]] = ...) -> None: ...

class StreamReadingsRequest(_message.Message):
    __slots__ = ("sequence", "readings", "columns", "explain")
    class ReadingList(_message.Message):
        __slots__ = ("readings",)
        READINGS_FIELD_NUMBER: _ClassVar[int]
        readings: _containers.RepeatedCompositeFieldContainer[_reading_pb2.Reading]
        def __init__(self, readings: _Optional[_Iterable[_Union[_reading_pb2.Reading, _Mapping]]] = ...) -> None: ...
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    READINGS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    readings: StreamReadingsRequest.ReadingList
    columns: _reading_pb2.ReadingColumns
    explain: bool
    def __init__(self, sequence: _Optional[int] = ..., readings: _Optional[_Union[StreamReadingsRequest.ReadingList, _Mapping]] = ..., columns: _Optional[_Union[_reading_pb2.ReadingColumns, _Mapping]] = ..., explain: _Optional[bool] = ...) -> None: ...

class StreamReadingsResponse(_message.Message):
    __slots__ = ("sequence", "accepted", "rejections", "ignored", "conflicts")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    accepted: int
    rejections: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ItemRejection]
    ignored: int
    conflicts: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ReadingConflict]
    def __init__(self, sequence: _Optional[int] = ..., accepted: _Optional[int] = ..., rejections: _Optional[_Iterable[_Union[_reading_pb2.ItemRejection, _Mapping]]] = ..., ignored: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[_reading_pb2.ReadingConflict, _Mapping]]] = ...) -> None: ...
