import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Video(_message.Message):
    __slots__ = ("uid", "store", "timestamp", "video", "state", "width", "height", "coded_width", "coded_height", "rotation", "codec", "container", "duration", "frame_rate", "bytes_fetched", "requests", "attempts", "failure", "message", "probe_duration", "update_time", "version", "history")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Video.State]
        PROBED: _ClassVar[Video.State]
        FAILED: _ClassVar[Video.State]
        RETRYING: _ClassVar[Video.State]
    STATE_UNSPECIFIED: Video.State
    PROBED: Video.State
    FAILED: Video.State
    RETRYING: Video.State
    class Failure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FAILURE_UNSPECIFIED: _ClassVar[Video.Failure]
        NOT_MEDIA: _ClassVar[Video.Failure]
        TRUNCATED: _ClassVar[Video.Failure]
        UNSUPPORTED: _ClassVar[Video.Failure]
        NOT_FOUND: _ClassVar[Video.Failure]
        BLOCKED_TARGET: _ClassVar[Video.Failure]
        TIMEOUT: _ClassVar[Video.Failure]
        BUDGET_EXCEEDED: _ClassVar[Video.Failure]
        UNREACHABLE: _ClassVar[Video.Failure]
        CRASHED: _ClassVar[Video.Failure]
    FAILURE_UNSPECIFIED: Video.Failure
    NOT_MEDIA: Video.Failure
    TRUNCATED: Video.Failure
    UNSUPPORTED: Video.Failure
    NOT_FOUND: Video.Failure
    BLOCKED_TARGET: Video.Failure
    TIMEOUT: Video.Failure
    BUDGET_EXCEEDED: Video.Failure
    UNREACHABLE: Video.Failure
    CRASHED: Video.Failure
    class Attempt(_message.Message):
        __slots__ = ("number", "failure", "message", "end_time", "probe_duration", "event_id")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        PROBE_DURATION_FIELD_NUMBER: _ClassVar[int]
        EVENT_ID_FIELD_NUMBER: _ClassVar[int]
        number: int
        failure: Video.Failure
        message: str
        end_time: _timestamp_pb2.Timestamp
        probe_duration: _duration_pb2.Duration
        event_id: str
        def __init__(self, number: _Optional[int] = ..., failure: _Optional[_Union[Video.Failure, str]] = ..., message: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., probe_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., event_id: _Optional[str] = ...) -> None: ...
    UID_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CODED_WIDTH_FIELD_NUMBER: _ClassVar[int]
    CODED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROTATION_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PROBE_DURATION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    uid: str
    store: str
    timestamp: float
    video: str
    state: Video.State
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    codec: str
    container: str
    duration: _duration_pb2.Duration
    frame_rate: float
    bytes_fetched: int
    requests: int
    attempts: int
    failure: Video.Failure
    message: str
    probe_duration: _duration_pb2.Duration
    update_time: _timestamp_pb2.Timestamp
    version: int
    history: _containers.RepeatedCompositeFieldContainer[Video.Attempt]
    def __init__(self, uid: _Optional[str] = ..., store: _Optional[str] = ..., timestamp: _Optional[float] = ..., video: _Optional[str] = ..., state: _Optional[_Union[Video.State, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., coded_width: _Optional[int] = ..., coded_height: _Optional[int] = ..., rotation: _Optional[int] = ..., codec: _Optional[str] = ..., container: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_rate: _Optional[float] = ..., bytes_fetched: _Optional[int] = ..., requests: _Optional[int] = ..., attempts: _Optional[int] = ..., failure: _Optional[_Union[Video.Failure, str]] = ..., message: _Optional[str] = ..., probe_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., history: _Optional[_Iterable[_Union[Video.Attempt, _Mapping]]] = ...) -> None: ...

class GetVideoRequest(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...

class ListVideosRequest(_message.Message):
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
    state: Video.State
    to: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., store: _Optional[str] = ..., state: _Optional[_Union[Video.State, str]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ListVideosResponse(_message.Message):
    __slots__ = ("videos", "next_page_token")
    VIDEOS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    videos: _containers.RepeatedCompositeFieldContainer[Video]
    next_page_token: str
    def __init__(self, videos: _Optional[_Iterable[_Union[Video, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ProbeVideoRequest(_message.Message):
    __slots__ = ("video",)
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    video: str
    def __init__(self, video: _Optional[str] = ...) -> None: ...

class RetryVideoRequest(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...
