import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
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

class DeadLetter(_message.Message):
    __slots__ = ("id", "service", "consumer", "subject", "type", "reason", "attempts", "history", "first_seen_time", "dead_time", "payload_json", "reason_class", "state", "tenant", "last_try_time", "close_time", "closed_by")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[DeadLetter.State]
        OPEN: _ClassVar[DeadLetter.State]
        RETRIED: _ClassVar[DeadLetter.State]
        ARCHIVED: _ClassVar[DeadLetter.State]
    STATE_UNSPECIFIED: DeadLetter.State
    OPEN: DeadLetter.State
    RETRIED: DeadLetter.State
    ARCHIVED: DeadLetter.State
    class ReasonClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_CLASS_UNSPECIFIED: _ClassVar[DeadLetter.ReasonClass]
        BAD_CONTENT: _ClassVar[DeadLetter.ReasonClass]
        REFUSED: _ClassVar[DeadLetter.ReasonClass]
        UNREACHABLE: _ClassVar[DeadLetter.ReasonClass]
        THROTTLED: _ClassVar[DeadLetter.ReasonClass]
        UNKNOWN_OUTCOME: _ClassVar[DeadLetter.ReasonClass]
        CONFIGURATION: _ClassVar[DeadLetter.ReasonClass]
        DEFECT: _ClassVar[DeadLetter.ReasonClass]
    REASON_CLASS_UNSPECIFIED: DeadLetter.ReasonClass
    BAD_CONTENT: DeadLetter.ReasonClass
    REFUSED: DeadLetter.ReasonClass
    UNREACHABLE: DeadLetter.ReasonClass
    THROTTLED: DeadLetter.ReasonClass
    UNKNOWN_OUTCOME: DeadLetter.ReasonClass
    CONFIGURATION: DeadLetter.ReasonClass
    DEFECT: DeadLetter.ReasonClass
    ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    DEAD_TIME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    REASON_CLASS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LAST_TRY_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSED_BY_FIELD_NUMBER: _ClassVar[int]
    id: str
    service: str
    consumer: str
    subject: str
    type: str
    reason: str
    attempts: int
    history: _containers.RepeatedScalarFieldContainer[str]
    first_seen_time: _timestamp_pb2.Timestamp
    dead_time: _timestamp_pb2.Timestamp
    payload_json: str
    reason_class: DeadLetter.ReasonClass
    state: DeadLetter.State
    tenant: str
    last_try_time: _timestamp_pb2.Timestamp
    close_time: _timestamp_pb2.Timestamp
    closed_by: str
    def __init__(self, id: _Optional[str] = ..., service: _Optional[str] = ..., consumer: _Optional[str] = ..., subject: _Optional[str] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., attempts: _Optional[int] = ..., history: _Optional[_Iterable[str]] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dead_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payload_json: _Optional[str] = ..., reason_class: _Optional[_Union[DeadLetter.ReasonClass, str]] = ..., state: _Optional[_Union[DeadLetter.State, str]] = ..., tenant: _Optional[str] = ..., last_try_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., close_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_by: _Optional[str] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "service", "reason_class", "tenant", "to", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_CLASS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    service: str
    reason_class: DeadLetter.ReasonClass
    tenant: str
    to: _timestamp_pb2.Timestamp
    state: DeadLetter.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., service: _Optional[str] = ..., reason_class: _Optional[_Union[DeadLetter.ReasonClass, str]] = ..., tenant: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[DeadLetter.State, str]] = ..., **kwargs) -> None: ...

class DeadLetterFilter(_message.Message):
    __slots__ = ("service", "reason_class", "tenant", "to")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REASON_CLASS_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    service: str
    reason_class: DeadLetter.ReasonClass
    tenant: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, service: _Optional[str] = ..., reason_class: _Optional[_Union[DeadLetter.ReasonClass, str]] = ..., tenant: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class RetryDeadLettersRequest(_message.Message):
    __slots__ = ("filter", "limit", "dry_run")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    filter: DeadLetterFilter
    limit: int
    dry_run: bool
    def __init__(self, filter: _Optional[_Union[DeadLetterFilter, _Mapping]] = ..., limit: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RetryDeadLettersResponse(_message.Message):
    __slots__ = ("retried", "more")
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    retried: int
    more: bool
    def __init__(self, retried: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class ArchiveDeadLettersRequest(_message.Message):
    __slots__ = ("filter", "limit", "dry_run")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    filter: DeadLetterFilter
    limit: int
    dry_run: bool
    def __init__(self, filter: _Optional[_Union[DeadLetterFilter, _Mapping]] = ..., limit: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ArchiveDeadLettersResponse(_message.Message):
    __slots__ = ("archived", "more")
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    archived: int
    more: bool
    def __init__(self, archived: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[DeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[DeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RetryDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class RetryDeadLetterResponse(_message.Message):
    __slots__ = ("subject",)
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    def __init__(self, subject: _Optional[str] = ...) -> None: ...

class ArchiveDeadLetterRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class ArchiveDeadLetterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
