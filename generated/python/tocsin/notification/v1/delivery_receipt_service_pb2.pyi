import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.notification.v1 import notification_service_pb2 as _notification_service_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplyDeliveryReceiptRequest(_message.Message):
    __slots__ = ("notification", "tenant", "receipt", "kind", "channel", "address", "occur_time", "detail", "expected_version")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[ApplyDeliveryReceiptRequest.Kind]
        DELIVERED: _ClassVar[ApplyDeliveryReceiptRequest.Kind]
        BOUNCED: _ClassVar[ApplyDeliveryReceiptRequest.Kind]
        FAILED: _ClassVar[ApplyDeliveryReceiptRequest.Kind]
        OPENED: _ClassVar[ApplyDeliveryReceiptRequest.Kind]
    KIND_UNSPECIFIED: ApplyDeliveryReceiptRequest.Kind
    DELIVERED: ApplyDeliveryReceiptRequest.Kind
    BOUNCED: ApplyDeliveryReceiptRequest.Kind
    FAILED: ApplyDeliveryReceiptRequest.Kind
    OPENED: ApplyDeliveryReceiptRequest.Kind
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    OCCUR_TIME_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    notification: str
    tenant: str
    receipt: str
    kind: ApplyDeliveryReceiptRequest.Kind
    channel: _notification_service_pb2.Channel
    address: str
    occur_time: _timestamp_pb2.Timestamp
    detail: str
    expected_version: int
    def __init__(self, notification: _Optional[str] = ..., tenant: _Optional[str] = ..., receipt: _Optional[str] = ..., kind: _Optional[_Union[ApplyDeliveryReceiptRequest.Kind, str]] = ..., channel: _Optional[_Union[_notification_service_pb2.Channel, str]] = ..., address: _Optional[str] = ..., occur_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detail: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ApplyDeliveryReceiptResponse(_message.Message):
    __slots__ = ("effect", "notification")
    class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EFFECT_UNSPECIFIED: _ClassVar[ApplyDeliveryReceiptResponse.Effect]
        APPLIED: _ClassVar[ApplyDeliveryReceiptResponse.Effect]
        RECORDED: _ClassVar[ApplyDeliveryReceiptResponse.Effect]
        SUPERSEDED: _ClassVar[ApplyDeliveryReceiptResponse.Effect]
        REPEATED: _ClassVar[ApplyDeliveryReceiptResponse.Effect]
    EFFECT_UNSPECIFIED: ApplyDeliveryReceiptResponse.Effect
    APPLIED: ApplyDeliveryReceiptResponse.Effect
    RECORDED: ApplyDeliveryReceiptResponse.Effect
    SUPERSEDED: ApplyDeliveryReceiptResponse.Effect
    REPEATED: ApplyDeliveryReceiptResponse.Effect
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    effect: ApplyDeliveryReceiptResponse.Effect
    notification: _notification_service_pb2.Notification
    def __init__(self, effect: _Optional[_Union[ApplyDeliveryReceiptResponse.Effect, str]] = ..., notification: _Optional[_Union[_notification_service_pb2.Notification, _Mapping]] = ...) -> None: ...
