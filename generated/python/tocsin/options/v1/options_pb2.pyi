from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor
EVENT_FIELD_NUMBER: _ClassVar[int]
event: _descriptor.FieldDescriptor
AUTH_FIELD_NUMBER: _ClassVar[int]
auth: _descriptor.FieldDescriptor
VALIDATES_ITEMS_FIELD_NUMBER: _ClassVar[int]
validates_items: _descriptor.FieldDescriptor
RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
resource_id: _descriptor.FieldDescriptor
OPTIONAL_RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
optional_resource_id: _descriptor.FieldDescriptor
PRINTABLE_TEXT_FIELD_NUMBER: _ClassVar[int]
printable_text: _descriptor.FieldDescriptor
ONE_LINE_FIELD_NUMBER: _ClassVar[int]
one_line: _descriptor.FieldDescriptor
NO_SPACES_FIELD_NUMBER: _ClassVar[int]
no_spaces: _descriptor.FieldDescriptor
HTTP_URL_FIELD_NUMBER: _ClassVar[int]
http_url: _descriptor.FieldDescriptor
USER_ID_FIELD_NUMBER: _ClassVar[int]
user_id: _descriptor.FieldDescriptor
OPTIONAL_USER_ID_FIELD_NUMBER: _ClassVar[int]
optional_user_id: _descriptor.FieldDescriptor
OPTIONAL_DAY_FIELD_NUMBER: _ClassVar[int]
optional_day: _descriptor.FieldDescriptor
OPTIONAL_SHA256_FIELD_NUMBER: _ClassVar[int]
optional_sha256: _descriptor.FieldDescriptor
OPTIONAL_MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
optional_media_type: _descriptor.FieldDescriptor
OPTIONAL_UUID7_FIELD_NUMBER: _ClassVar[int]
optional_uuid7: _descriptor.FieldDescriptor
OPTIONAL_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
optional_language: _descriptor.FieldDescriptor
TIME_OF_DAY_FIELD_NUMBER: _ClassVar[int]
time_of_day: _descriptor.FieldDescriptor

class AuthRule(_message.Message):
    __slots__ = ("scopes", "public")
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    scopes: _containers.RepeatedScalarFieldContainer[str]
    public: bool
    def __init__(self, scopes: _Optional[_Iterable[str]] = ..., public: _Optional[bool] = ...) -> None: ...

class EventRule(_message.Message):
    __slots__ = ("subject", "public")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    subject: str
    public: bool
    def __init__(self, subject: _Optional[str] = ..., public: _Optional[bool] = ...) -> None: ...
