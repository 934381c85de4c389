import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CONSOLE: _ClassVar[Channel]
    EMAIL: _ClassVar[Channel]
    WEBHOOK: _ClassVar[Channel]
    FCM: _ClassVar[Channel]

class NotificationType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTIFICATION_TYPE_UNSPECIFIED: _ClassVar[NotificationType]
    ALERT: _ClassVar[NotificationType]
    REMINDER: _ClassVar[NotificationType]
    INFO: _ClassVar[NotificationType]

class NotificationView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTIFICATION_VIEW_UNSPECIFIED: _ClassVar[NotificationView]
    BASIC: _ClassVar[NotificationView]
    FULL: _ClassVar[NotificationView]
CHANNEL_UNSPECIFIED: Channel
CONSOLE: Channel
EMAIL: Channel
WEBHOOK: Channel
FCM: Channel
NOTIFICATION_TYPE_UNSPECIFIED: NotificationType
ALERT: NotificationType
REMINDER: NotificationType
INFO: NotificationType
NOTIFICATION_VIEW_UNSPECIFIED: NotificationView
BASIC: NotificationView
FULL: NotificationView

class Notification(_message.Message):
    __slots__ = ("id", "tenant", "user", "type", "title", "body", "data", "status", "channel", "attempts", "error", "next_attempt_time", "create_time", "send_time", "read_time", "version", "delivery_time", "open_time", "address", "history", "link", "plan")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[Notification.Status]
        PENDING: _ClassVar[Notification.Status]
        SENT: _ClassVar[Notification.Status]
        FAILED: _ClassVar[Notification.Status]
    STATUS_UNSPECIFIED: Notification.Status
    PENDING: Notification.Status
    SENT: Notification.Status
    FAILED: Notification.Status
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SEND_TIME_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    user: str
    type: NotificationType
    title: str
    body: str
    data: _struct_pb2.Struct
    status: Notification.Status
    channel: Channel
    attempts: int
    error: str
    next_attempt_time: _timestamp_pb2.Timestamp
    create_time: _timestamp_pb2.Timestamp
    send_time: _timestamp_pb2.Timestamp
    read_time: _timestamp_pb2.Timestamp
    version: int
    delivery_time: _timestamp_pb2.Timestamp
    open_time: _timestamp_pb2.Timestamp
    address: str
    history: _containers.RepeatedCompositeFieldContainer[DeliveryAttempt]
    link: str
    plan: _containers.RepeatedCompositeFieldContainer[PlannedDelivery]
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[NotificationType, str]] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., status: _Optional[_Union[Notification.Status, str]] = ..., channel: _Optional[_Union[Channel, str]] = ..., attempts: _Optional[int] = ..., error: _Optional[str] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., send_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., version: _Optional[int] = ..., delivery_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., address: _Optional[str] = ..., history: _Optional[_Iterable[_Union[DeliveryAttempt, _Mapping]]] = ..., link: _Optional[str] = ..., plan: _Optional[_Iterable[_Union[PlannedDelivery, _Mapping]]] = ...) -> None: ...

class PlannedDelivery(_message.Message):
    __slots__ = ("channel", "address", "after")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    channel: Channel
    address: str
    after: _duration_pb2.Duration
    def __init__(self, channel: _Optional[_Union[Channel, str]] = ..., address: _Optional[str] = ..., after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeliveryAttempt(_message.Message):
    __slots__ = ("time", "channel", "address", "sent", "code", "message", "repeat")
    TIME_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPEAT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    channel: Channel
    address: str
    sent: bool
    code: str
    message: str
    repeat: bool
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., channel: _Optional[_Union[Channel, str]] = ..., address: _Optional[str] = ..., sent: _Optional[bool] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., repeat: _Optional[bool] = ...) -> None: ...

class SendNotificationRequest(_message.Message):
    __slots__ = ("tenant", "user", "type", "title", "body", "data", "channel", "wait", "dry_run", "idempotency_key", "link")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: NotificationType
    title: str
    body: str
    data: _struct_pb2.Struct
    channel: Channel
    wait: bool
    dry_run: bool
    idempotency_key: str
    link: str
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[NotificationType, str]] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., channel: _Optional[_Union[Channel, str]] = ..., wait: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., idempotency_key: _Optional[str] = ..., link: _Optional[str] = ...) -> None: ...

class SendBulkNotificationsRequest(_message.Message):
    __slots__ = ("notifications", "idempotency_key")
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    notifications: _containers.RepeatedCompositeFieldContainer[SendNotificationRequest]
    idempotency_key: str
    def __init__(self, notifications: _Optional[_Iterable[_Union[SendNotificationRequest, _Mapping]]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class SendBulkNotificationsResponse(_message.Message):
    __slots__ = ("outcomes", "accepted")
    class Outcome(_message.Message):
        __slots__ = ("index", "id", "reason", "field", "message")
        INDEX_FIELD_NUMBER: _ClassVar[int]
        ID_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        FIELD_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        index: int
        id: str
        reason: str
        field: str
        message: str
        def __init__(self, index: _Optional[int] = ..., id: _Optional[str] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[SendBulkNotificationsResponse.Outcome]
    accepted: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[SendBulkNotificationsResponse.Outcome, _Mapping]]] = ..., accepted: _Optional[int] = ...) -> None: ...

class GetNotificationRequest(_message.Message):
    __slots__ = ("id", "tenant")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class ListNotificationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant", "user", "status", "unread", "to", "view")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant: str
    user: str
    status: Notification.Status
    unread: bool
    to: _timestamp_pb2.Timestamp
    view: NotificationView
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant: _Optional[str] = ..., user: _Optional[str] = ..., status: _Optional[_Union[Notification.Status, str]] = ..., unread: _Optional[bool] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., view: _Optional[_Union[NotificationView, str]] = ..., **kwargs) -> None: ...

class ListNotificationsResponse(_message.Message):
    __slots__ = ("notifications", "next_page_token")
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notifications: _containers.RepeatedCompositeFieldContainer[Notification]
    next_page_token: str
    def __init__(self, notifications: _Optional[_Iterable[_Union[Notification, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class MarkNotificationReadRequest(_message.Message):
    __slots__ = ("id", "tenant", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class MarkNotificationOpenedRequest(_message.Message):
    __slots__ = ("id", "tenant", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class MarkAllNotificationsReadRequest(_message.Message):
    __slots__ = ("tenant", "user", "until")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    until: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MarkAllNotificationsReadResponse(_message.Message):
    __slots__ = ("marked",)
    MARKED_FIELD_NUMBER: _ClassVar[int]
    marked: int
    def __init__(self, marked: _Optional[int] = ...) -> None: ...

class RetryNotificationsRequest(_message.Message):
    __slots__ = ("tenant", "user", "type", "channel", "to", "limit", "dry_run")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user: str
    type: NotificationType
    channel: Channel
    to: _timestamp_pb2.Timestamp
    limit: int
    dry_run: bool
    def __init__(self, tenant: _Optional[str] = ..., user: _Optional[str] = ..., type: _Optional[_Union[NotificationType, str]] = ..., channel: _Optional[_Union[Channel, str]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ..., dry_run: _Optional[bool] = ..., **kwargs) -> None: ...

class RetryNotificationsResponse(_message.Message):
    __slots__ = ("retried", "more")
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    retried: int
    more: bool
    def __init__(self, retried: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...
