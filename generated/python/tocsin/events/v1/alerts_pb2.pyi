from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class VideoAlertReported(_message.Message):
    __slots__ = ("uid", "video", "timestamp", "store")
    UID_FIELD_NUMBER: _ClassVar[int]
    VIDEO_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    uid: str
    video: str
    timestamp: float
    store: str
    def __init__(self, uid: _Optional[str] = ..., video: _Optional[str] = ..., timestamp: _Optional[float] = ..., store: _Optional[str] = ...) -> None: ...
