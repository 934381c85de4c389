import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class VideoProbeStarted(_message.Message):
    __slots__ = ("uid", "attempt", "version")
    UID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    uid: str
    attempt: int
    version: int
    def __init__(self, uid: _Optional[str] = ..., attempt: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class VideoProbed(_message.Message):
    __slots__ = ("uid", "video", "store", "timestamp", "width", "height", "codec", "container", "duration", "frame_rate", "bytes_fetched", "version")
    UID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CODEC_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FETCHED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    uid: str
    video: str
    store: str
    timestamp: float
    width: int
    height: int
    codec: str
    container: str
    duration: _duration_pb2.Duration
    frame_rate: float
    bytes_fetched: int
    version: int
    def __init__(self, uid: _Optional[str] = ..., video: _Optional[str] = ..., store: _Optional[str] = ..., timestamp: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., codec: _Optional[str] = ..., container: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., frame_rate: _Optional[float] = ..., bytes_fetched: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class VideoProbeFailed(_message.Message):
    __slots__ = ("uid", "video", "store", "timestamp", "failure", "message", "attempts", "version")
    UID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    uid: str
    video: str
    store: str
    timestamp: float
    failure: str
    message: str
    attempts: int
    version: int
    def __init__(self, uid: _Optional[str] = ..., video: _Optional[str] = ..., store: _Optional[str] = ..., timestamp: _Optional[float] = ..., failure: _Optional[str] = ..., message: _Optional[str] = ..., attempts: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...
