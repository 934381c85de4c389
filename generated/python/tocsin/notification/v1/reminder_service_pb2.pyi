import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.notification.v1 import notification_service_pb2 as _notification_service_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReminderCheck(_message.Message):
    __slots__ = ("url", "timeout", "on_no_answer")
    class OnNoAnswer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ON_NO_ANSWER_UNSPECIFIED: _ClassVar[ReminderCheck.OnNoAnswer]
        SEND: _ClassVar[ReminderCheck.OnNoAnswer]
        SKIP: _ClassVar[ReminderCheck.OnNoAnswer]
        HOLD: _ClassVar[ReminderCheck.OnNoAnswer]
    ON_NO_ANSWER_UNSPECIFIED: ReminderCheck.OnNoAnswer
    SEND: ReminderCheck.OnNoAnswer
    SKIP: ReminderCheck.OnNoAnswer
    HOLD: ReminderCheck.OnNoAnswer
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[ReminderCheck.Outcome]
        TAKEN: _ClassVar[ReminderCheck.Outcome]
        NOT_TAKEN: _ClassVar[ReminderCheck.Outcome]
        NO_ANSWER: _ClassVar[ReminderCheck.Outcome]
    OUTCOME_UNSPECIFIED: ReminderCheck.Outcome
    TAKEN: ReminderCheck.Outcome
    NOT_TAKEN: ReminderCheck.Outcome
    NO_ANSWER: ReminderCheck.Outcome
    URL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    ON_NO_ANSWER_FIELD_NUMBER: _ClassVar[int]
    url: str
    timeout: _duration_pb2.Duration
    on_no_answer: ReminderCheck.OnNoAnswer
    def __init__(self, url: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_no_answer: _Optional[_Union[ReminderCheck.OnNoAnswer, str]] = ...) -> None: ...

class AdaptiveFrequency(_message.Message):
    __slots__ = ("min_every", "max_every")
    MIN_EVERY_FIELD_NUMBER: _ClassVar[int]
    MAX_EVERY_FIELD_NUMBER: _ClassVar[int]
    min_every: int
    max_every: int
    def __init__(self, min_every: _Optional[int] = ..., max_every: _Optional[int] = ...) -> None: ...

class Reminder(_message.Message):
    __slots__ = ("id", "tenant", "user", "title", "body", "data", "times_of_day", "cron", "time_zone", "start_time", "end_time", "channel", "check", "missed_policy", "catch_up_window", "adaptive", "state", "next_run_time", "every", "version", "create_time", "update_time", "link")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Reminder.State]
        ACTIVE: _ClassVar[Reminder.State]
        PAUSED: _ClassVar[Reminder.State]
        ENDED: _ClassVar[Reminder.State]
    STATE_UNSPECIFIED: Reminder.State
    ACTIVE: Reminder.State
    PAUSED: Reminder.State
    ENDED: Reminder.State
    class MissedPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MISSED_POLICY_UNSPECIFIED: _ClassVar[Reminder.MissedPolicy]
        CATCH_UP: _ClassVar[Reminder.MissedPolicy]
        SKIP_MISSED: _ClassVar[Reminder.MissedPolicy]
    MISSED_POLICY_UNSPECIFIED: Reminder.MissedPolicy
    CATCH_UP: Reminder.MissedPolicy
    SKIP_MISSED: Reminder.MissedPolicy
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMES_OF_DAY_FIELD_NUMBER: _ClassVar[int]
    CRON_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    MISSED_POLICY_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_WINDOW_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    user: str
    title: str
    body: str
    data: _struct_pb2.Struct
    times_of_day: _containers.RepeatedScalarFieldContainer[str]
    cron: str
    time_zone: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    channel: _notification_service_pb2.Channel
    check: ReminderCheck
    missed_policy: Reminder.MissedPolicy
    catch_up_window: _duration_pb2.Duration
    adaptive: AdaptiveFrequency
    state: Reminder.State
    next_run_time: _timestamp_pb2.Timestamp
    every: int
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    link: str
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., user: _Optional[str] = ..., title: _Optional[str] = ..., body: _Optional[str] = ..., data: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., times_of_day: _Optional[_Iterable[str]] = ..., cron: _Optional[str] = ..., time_zone: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., channel: _Optional[_Union[_notification_service_pb2.Channel, str]] = ..., check: _Optional[_Union[ReminderCheck, _Mapping]] = ..., missed_policy: _Optional[_Union[Reminder.MissedPolicy, str]] = ..., catch_up_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., adaptive: _Optional[_Union[AdaptiveFrequency, _Mapping]] = ..., state: _Optional[_Union[Reminder.State, str]] = ..., next_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., every: _Optional[int] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., link: _Optional[str] = ...) -> None: ...

class ReminderOccurrence(_message.Message):
    __slots__ = ("reminder", "time", "through", "decision", "reason", "check_outcome", "check_attempts", "error", "notification", "decide_time", "open_time")
    class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECISION_UNSPECIFIED: _ClassVar[ReminderOccurrence.Decision]
        PENDING: _ClassVar[ReminderOccurrence.Decision]
        SENT: _ClassVar[ReminderOccurrence.Decision]
        SKIPPED: _ClassVar[ReminderOccurrence.Decision]
        HELD: _ClassVar[ReminderOccurrence.Decision]
    DECISION_UNSPECIFIED: ReminderOccurrence.Decision
    PENDING: ReminderOccurrence.Decision
    SENT: ReminderOccurrence.Decision
    SKIPPED: ReminderOccurrence.Decision
    HELD: ReminderOccurrence.Decision
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        REASON_UNSPECIFIED: _ClassVar[ReminderOccurrence.Reason]
        UNCHECKED: _ClassVar[ReminderOccurrence.Reason]
        NEEDED: _ClassVar[ReminderOccurrence.Reason]
        DONE: _ClassVar[ReminderOccurrence.Reason]
        UNANSWERED: _ClassVar[ReminderOccurrence.Reason]
        MISSED: _ClassVar[ReminderOccurrence.Reason]
        OVERTAKEN: _ClassVar[ReminderOccurrence.Reason]
        THINNED: _ClassVar[ReminderOccurrence.Reason]
        STOPPED: _ClassVar[ReminderOccurrence.Reason]
        UNREACHABLE: _ClassVar[ReminderOccurrence.Reason]
    REASON_UNSPECIFIED: ReminderOccurrence.Reason
    UNCHECKED: ReminderOccurrence.Reason
    NEEDED: ReminderOccurrence.Reason
    DONE: ReminderOccurrence.Reason
    UNANSWERED: ReminderOccurrence.Reason
    MISSED: ReminderOccurrence.Reason
    OVERTAKEN: ReminderOccurrence.Reason
    THINNED: ReminderOccurrence.Reason
    STOPPED: ReminderOccurrence.Reason
    UNREACHABLE: ReminderOccurrence.Reason
    REMINDER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHECK_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CHECK_ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    DECIDE_TIME_FIELD_NUMBER: _ClassVar[int]
    OPEN_TIME_FIELD_NUMBER: _ClassVar[int]
    reminder: str
    time: _timestamp_pb2.Timestamp
    through: _timestamp_pb2.Timestamp
    decision: ReminderOccurrence.Decision
    reason: ReminderOccurrence.Reason
    check_outcome: ReminderCheck.Outcome
    check_attempts: int
    error: str
    notification: str
    decide_time: _timestamp_pb2.Timestamp
    open_time: _timestamp_pb2.Timestamp
    def __init__(self, reminder: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., through: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decision: _Optional[_Union[ReminderOccurrence.Decision, str]] = ..., reason: _Optional[_Union[ReminderOccurrence.Reason, str]] = ..., check_outcome: _Optional[_Union[ReminderCheck.Outcome, str]] = ..., check_attempts: _Optional[int] = ..., error: _Optional[str] = ..., notification: _Optional[str] = ..., decide_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., open_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReminderStatistics(_message.Message):
    __slots__ = ("sent", "skipped", "held", "pending", "skipped_by_reason", "unanswered", "opened", "open_rate", "every", "next_run_time", "reminders")
    class SkippedByReasonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    SENT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_BY_REASON_FIELD_NUMBER: _ClassVar[int]
    UNANSWERED_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    OPEN_RATE_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    NEXT_RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    sent: int
    skipped: int
    held: int
    pending: int
    skipped_by_reason: _containers.ScalarMap[str, int]
    unanswered: int
    opened: int
    open_rate: float
    every: int
    next_run_time: _timestamp_pb2.Timestamp
    reminders: int
    def __init__(self, sent: _Optional[int] = ..., skipped: _Optional[int] = ..., held: _Optional[int] = ..., pending: _Optional[int] = ..., skipped_by_reason: _Optional[_Mapping[str, int]] = ..., unanswered: _Optional[int] = ..., opened: _Optional[int] = ..., open_rate: _Optional[float] = ..., every: _Optional[int] = ..., next_run_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reminders: _Optional[int] = ...) -> None: ...

class CreateReminderRequest(_message.Message):
    __slots__ = ("reminder", "idempotency_key")
    REMINDER_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    reminder: Reminder
    idempotency_key: str
    def __init__(self, reminder: _Optional[_Union[Reminder, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class GetReminderRequest(_message.Message):
    __slots__ = ("id", "tenant")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class ListRemindersRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant", "user", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant: str
    user: str
    state: Reminder.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant: _Optional[str] = ..., user: _Optional[str] = ..., state: _Optional[_Union[Reminder.State, str]] = ...) -> None: ...

class ListRemindersResponse(_message.Message):
    __slots__ = ("reminders", "next_page_token")
    REMINDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reminders: _containers.RepeatedCompositeFieldContainer[Reminder]
    next_page_token: str
    def __init__(self, reminders: _Optional[_Iterable[_Union[Reminder, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateReminderRequest(_message.Message):
    __slots__ = ("reminder", "update_mask", "expected_version")
    REMINDER_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    reminder: Reminder
    update_mask: _field_mask_pb2.FieldMask
    expected_version: int
    def __init__(self, reminder: _Optional[_Union[Reminder, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., expected_version: _Optional[int] = ...) -> None: ...

class DeleteReminderRequest(_message.Message):
    __slots__ = ("id", "tenant", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class PauseReminderRequest(_message.Message):
    __slots__ = ("id", "tenant", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ResumeReminderRequest(_message.Message):
    __slots__ = ("id", "tenant", "expected_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    expected_version: int
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class ListReminderOccurrencesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "tenant", "reminder", "decision", "to")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REMINDER_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    tenant: str
    reminder: str
    decision: ReminderOccurrence.Decision
    to: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., tenant: _Optional[str] = ..., reminder: _Optional[str] = ..., decision: _Optional[_Union[ReminderOccurrence.Decision, str]] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class ListReminderOccurrencesResponse(_message.Message):
    __slots__ = ("occurrences", "next_page_token")
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    occurrences: _containers.RepeatedCompositeFieldContainer[ReminderOccurrence]
    next_page_token: str
    def __init__(self, occurrences: _Optional[_Iterable[_Union[ReminderOccurrence, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetReminderStatisticsRequest(_message.Message):
    __slots__ = ("tenant", "reminder", "user", "to")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REMINDER_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    reminder: str
    user: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., reminder: _Optional[str] = ..., user: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...
