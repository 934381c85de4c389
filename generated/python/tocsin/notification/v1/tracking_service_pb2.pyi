from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class FollowLinkRequest(_message.Message):
    __slots__ = ("token", "look_only")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOOK_ONLY_FIELD_NUMBER: _ClassVar[int]
    token: str
    look_only: bool
    def __init__(self, token: _Optional[str] = ..., look_only: _Optional[bool] = ...) -> None: ...

class FollowLinkResponse(_message.Message):
    __slots__ = ("url",)
    URL_FIELD_NUMBER: _ClassVar[int]
    url: str
    def __init__(self, url: _Optional[str] = ...) -> None: ...

class ViewPixelRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...
