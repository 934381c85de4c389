import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.ingestion.v1 import reading_pb2 as _reading_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Alert(_message.Message):
    __slots__ = ("uid", "video", "timestamp", "store", "state", "reason", "create_time", "update_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Alert.State]
        ACCEPTED: _ClassVar[Alert.State]
        PROBING: _ClassVar[Alert.State]
        PROBED: _ClassVar[Alert.State]
        FAILED: _ClassVar[Alert.State]
    STATE_UNSPECIFIED: Alert.State
    ACCEPTED: Alert.State
    PROBING: Alert.State
    PROBED: Alert.State
    FAILED: Alert.State
    UID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    uid: str
    video: str
    timestamp: float
    store: str
    state: Alert.State
    reason: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, uid: _Optional[str] = ..., video: _Optional[str] = ..., timestamp: _Optional[float] = ..., store: _Optional[str] = ..., state: _Optional[_Union[Alert.State, str]] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateAlertRequest(_message.Message):
    __slots__ = ("uid", "video", "timestamp", "store", "dry_run")
    UID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    uid: str
    video: str
    timestamp: float
    store: str
    dry_run: bool
    def __init__(self, uid: _Optional[str] = ..., video: _Optional[str] = ..., timestamp: _Optional[float] = ..., store: _Optional[str] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class BatchCreateAlertsRequest(_message.Message):
    __slots__ = ("alerts", "dry_run")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[CreateAlertRequest]
    dry_run: bool
    def __init__(self, alerts: _Optional[_Iterable[_Union[CreateAlertRequest, _Mapping]]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class BatchCreateAlertsResponse(_message.Message):
    __slots__ = ("alerts", "rejections")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    rejections: _containers.RepeatedCompositeFieldContainer[_reading_pb2.ItemRejection]
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., rejections: _Optional[_Iterable[_Union[_reading_pb2.ItemRejection, _Mapping]]] = ...) -> None: ...

class GetAlertRequest(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...

class GetAlertHistoryRequest(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...

class GetAlertHistoryResponse(_message.Message):
    __slots__ = ("entries", "missing")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[GetAlertHistoryResponse.Kind]
        ACCEPTED: _ClassVar[GetAlertHistoryResponse.Kind]
        ATTEMPT_FAILED: _ClassVar[GetAlertHistoryResponse.Kind]
        PROBED: _ClassVar[GetAlertHistoryResponse.Kind]
        FAILED: _ClassVar[GetAlertHistoryResponse.Kind]
        TELLING: _ClassVar[GetAlertHistoryResponse.Kind]
        TOLD: _ClassVar[GetAlertHistoryResponse.Kind]
        NOT_TOLD: _ClassVar[GetAlertHistoryResponse.Kind]
    KIND_UNSPECIFIED: GetAlertHistoryResponse.Kind
    ACCEPTED: GetAlertHistoryResponse.Kind
    ATTEMPT_FAILED: GetAlertHistoryResponse.Kind
    PROBED: GetAlertHistoryResponse.Kind
    FAILED: GetAlertHistoryResponse.Kind
    TELLING: GetAlertHistoryResponse.Kind
    TOLD: GetAlertHistoryResponse.Kind
    NOT_TOLD: GetAlertHistoryResponse.Kind
    class Entry(_message.Message):
        __slots__ = ("kind", "time", "attempt", "reason", "message", "subscription", "origin")
        KIND_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        ATTEMPT_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
        ORIGIN_FIELD_NUMBER: _ClassVar[int]
        kind: GetAlertHistoryResponse.Kind
        time: _timestamp_pb2.Timestamp
        attempt: int
        reason: str
        message: str
        subscription: str
        origin: str
        def __init__(self, kind: _Optional[_Union[GetAlertHistoryResponse.Kind, str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., subscription: _Optional[str] = ..., origin: _Optional[str] = ...) -> None: ...
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[GetAlertHistoryResponse.Entry]
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entries: _Optional[_Iterable[_Union[GetAlertHistoryResponse.Entry, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "store", "state", "to")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    store: str
    state: Alert.State
    to: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., store: _Optional[str] = ..., state: _Optional[_Union[Alert.State, str]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
