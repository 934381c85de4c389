import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from tocsin.notification.v1 import notification_service_pb2 as _notification_service_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChannelPlan(_message.Message):
    __slots__ = ("tenant", "user", "type", "steps", "own", "version")
    class Step(_message.Message):
        __slots__ = ("channel", "after")
        CHANNEL_FIELD_NUMBER: _ClassVar[int]
        AFTER_FIELD_NUMBER: _ClassVar[int]
        channel: _notification_service_pb2.Channel
        after: _duration_pb2.Duration
        def __init__(self, channel: _Optional[_Union[_notification_service_pb2.Channel, str]] = ..., after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: _notification_service_pb2.NotificationType
    steps: _containers.RepeatedCompositeFieldContainer[ChannelPlan.Step]
    own: bool
    version: int
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[_notification_service_pb2.NotificationType, str]] = ..., steps: _Optional[_Iterable[_Union[ChannelPlan.Step, _Mapping]]] = ..., own: _Optional[bool] = ..., version: _Optional[int] = ...) -> None: ...

class GetChannelPlanRequest(_message.Message):
    __slots__ = ("tenant", "user", "type")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: _notification_service_pb2.NotificationType
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[_notification_service_pb2.NotificationType, str]] = ...) -> None: ...

class SetChannelPlanRequest(_message.Message):
    __slots__ = ("tenant", "user", "type", "steps", "expected_version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: _notification_service_pb2.NotificationType
    steps: _containers.RepeatedCompositeFieldContainer[ChannelPlan.Step]
    expected_version: int
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[_notification_service_pb2.NotificationType, str]] = ..., steps: _Optional[_Iterable[_Union[ChannelPlan.Step, _Mapping]]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class DeleteChannelPlanRequest(_message.Message):
    __slots__ = ("tenant", "user", "type", "expected_version")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: _notification_service_pb2.NotificationType
    expected_version: int
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[_notification_service_pb2.NotificationType, str]] = ..., expected_version: _Optional[int] = ...) -> None: ...
