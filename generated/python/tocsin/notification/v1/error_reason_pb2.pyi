from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TENANT_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_RATE_LIMITED: _ClassVar[ErrorReason]
    ERROR_REASON_NO_ENDPOINT: _ClassVar[ErrorReason]
    ERROR_REASON_CHANNEL_NOT_CONFIGURED: _ClassVar[ErrorReason]
    ERROR_REASON_IDEMPOTENCY_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_VERSION_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_TARGET_BLOCKED: _ClassVar[ErrorReason]
    ERROR_REASON_DATA_TOO_LARGE: _ClassVar[ErrorReason]
    ERROR_REASON_DELIVERY_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_REMINDER_LIMIT: _ClassVar[ErrorReason]
    ERROR_REASON_SCHEDULE_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_CHECK_ORIGIN_FORBIDDEN: _ClassVar[ErrorReason]
    ERROR_REASON_REMINDER_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_REMINDER_ENDED: _ClassVar[ErrorReason]
    ERROR_REASON_DEAD_LETTER_CLOSED: _ClassVar[ErrorReason]
    ERROR_REASON_LINK_FORBIDDEN: _ClassVar[ErrorReason]
    ERROR_REASON_LINK_EXPIRED: _ClassVar[ErrorReason]
    ERROR_REASON_NOT_SIGNED: _ClassVar[ErrorReason]
    ERROR_REASON_SUBSCRIPTION_EXISTS: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_NOT_FOUND: ErrorReason
ERROR_REASON_TENANT_UNKNOWN: ErrorReason
ERROR_REASON_RATE_LIMITED: ErrorReason
ERROR_REASON_NO_ENDPOINT: ErrorReason
ERROR_REASON_CHANNEL_NOT_CONFIGURED: ErrorReason
ERROR_REASON_IDEMPOTENCY_CONFLICT: ErrorReason
ERROR_REASON_VERSION_CONFLICT: ErrorReason
ERROR_REASON_TARGET_BLOCKED: ErrorReason
ERROR_REASON_DATA_TOO_LARGE: ErrorReason
ERROR_REASON_DELIVERY_FAILED: ErrorReason
ERROR_REASON_REMINDER_LIMIT: ErrorReason
ERROR_REASON_SCHEDULE_INVALID: ErrorReason
ERROR_REASON_CHECK_ORIGIN_FORBIDDEN: ErrorReason
ERROR_REASON_REMINDER_EXISTS: ErrorReason
ERROR_REASON_REMINDER_ENDED: ErrorReason
ERROR_REASON_DEAD_LETTER_CLOSED: ErrorReason
ERROR_REASON_LINK_FORBIDDEN: ErrorReason
ERROR_REASON_LINK_EXPIRED: ErrorReason
ERROR_REASON_NOT_SIGNED: ErrorReason
ERROR_REASON_SUBSCRIPTION_EXISTS: ErrorReason
