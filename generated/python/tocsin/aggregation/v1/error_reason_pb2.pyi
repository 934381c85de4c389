from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_STEP_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_WATCHERS: _ClassVar[ErrorReason]
    ERROR_REASON_WATCHER_TOO_SLOW: _ClassVar[ErrorReason]
    ERROR_REASON_ALARM_RULE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ALARM_RULE_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_ALARM_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_ALARM_NOT_RAISED: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_ALARM_RULES: _ClassVar[ErrorReason]
    ERROR_REASON_READING_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_CORRECTION_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_TENANT_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_UNIT_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_VALUE_OUT_OF_RANGE: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_READINGS: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_STEP_UNKNOWN: ErrorReason
ERROR_REASON_TOO_MANY_WATCHERS: ErrorReason
ERROR_REASON_WATCHER_TOO_SLOW: ErrorReason
ERROR_REASON_ALARM_RULE_NOT_FOUND: ErrorReason
ERROR_REASON_ALARM_RULE_EXISTS: ErrorReason
ERROR_REASON_ALARM_NOT_FOUND: ErrorReason
ERROR_REASON_ALARM_NOT_RAISED: ErrorReason
ERROR_REASON_TOO_MANY_ALARM_RULES: ErrorReason
ERROR_REASON_READING_NOT_FOUND: ErrorReason
ERROR_REASON_CORRECTION_NOT_FOUND: ErrorReason
ERROR_REASON_TENANT_UNKNOWN: ErrorReason
ERROR_REASON_UNIT_UNKNOWN: ErrorReason
ERROR_REASON_VALUE_OUT_OF_RANGE: ErrorReason
ERROR_REASON_TOO_MANY_READINGS: ErrorReason
