"""Reminders: messages to commands, and values to messages."""

import json
from collections.abc import Callable
from datetime import time, timedelta
from typing import Any, Final, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.grpc import validation
from services.chassis.grpc.timestamps import time_of, timestamp
from services.chassis.grpc.validation import json_name
from services.notification.adapters.grpc.mappers import json_text
from services.notification.application.reminders.ports import ReminderStatistics
from services.notification.domain.notification import ChannelName
from services.notification.domain.reminders.adaptive import Adaptive
from services.notification.domain.reminders.check import DEFAULT_TIMEOUT, Check, OnNoAnswer
from services.notification.domain.reminders.occurrence import Decision, Occurrence
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.reminder import DEFAULT_WINDOW, Content, MissedPolicy, Reminder, State
from tocsin.notification.v1 import notification_service_pb2
from tocsin.notification.v1 import reminder_service_pb2 as pb

_CHANGEABLE: Final = (
    *(
        "title",
        "body",
        "data",
        "link",
        "times_of_day",
        "cron",
        "time_zone",
        "start_time",
        "end_time",
        "channel",
        "check",
    ),
    *("missed_policy", "catch_up_window", "adaptive"),
)
_SCHEDULES: Final = {"times_of_day": "cron", "cron": "times_of_day"}
"""One takes the place of the other."""
_NAMING: Final = ("id", "tenant", "user")


def content(message: pb.Reminder) -> Content:
    """What is said about a reminder. Raises InvalidArgument, ScheduleInvalid and DataTooLarge."""
    adaptive, check = message.adaptive, message.check
    return Content(
        title=message.title,
        body=message.body,
        data=json_text(message.data, "reminder.data") if message.HasField("data") else "",
        link=message.link,
        recurrence=Recurrence(
            zone=message.time_zone,
            times=tuple(sorted(time.fromisoformat(at) for at in message.times_of_day)),
            cron=" ".join(message.cron.split()),
        ),
        start=time_of(message, "start_time"),
        end=time_of(message, "end_time"),
        channel=ChannelName(notification_service_pb2.Channel.Name(message.channel)) if message.channel else None,
        check=Check(
            url=check.url,
            timeout=_span(check.timeout) if check.HasField("timeout") else DEFAULT_TIMEOUT,
            on_no_answer=OnNoAnswer(pb.ReminderCheck.OnNoAnswer.Name(check.on_no_answer or pb.ReminderCheck.SEND)),
        )
        if message.HasField("check")
        else None,
        missed=MissedPolicy(pb.Reminder.MissedPolicy.Name(message.missed_policy or pb.Reminder.CATCH_UP)),
        window=_span(message.catch_up_window) if message.HasField("catch_up_window") else DEFAULT_WINDOW,
        adaptive=Adaptive(adaptive.min_every or 1, adaptive.max_every) if message.HasField("adaptive") else None,
    )


def _span(value: Duration) -> timedelta:
    return value.ToTimedelta()


def change(request: pb.UpdateReminderRequest) -> Callable[[Content], Content]:
    """What an update makes of a reminder. The function raises InvalidArgument for a mask that names what cannot be
    changed, and where the reminder would break the contract."""
    given = request.reminder
    paths = _paths(given, request.update_mask)

    def changed(current: Content) -> Content:
        message = pb.Reminder(tenant=given.tenant, user="user")
        _tell(message, current)
        for path in paths:
            message.ClearField(cast(Any, path))
            if (other := _SCHEDULES.get(path)) and getattr(given, path) and other not in paths:
                message.ClearField(cast(Any, other))
        kept = pb.Reminder()
        for path in paths:
            _copy(given, kept, path)
        message.MergeFrom(kept)
        validation.check(pb.CreateReminderRequest(reminder=message))
        return content(message)

    return changed


def _copy(given: pb.Reminder, into: pb.Reminder, path: str) -> None:
    field = pb.Reminder.DESCRIPTOR.fields_by_name[path]
    value: Any = getattr(given, path)
    if field.is_repeated:
        getattr(into, path).extend(value)
    elif field.message_type is None:
        setattr(into, path, value)
    elif given.HasField(cast(Any, path)):
        getattr(into, path).CopyFrom(value)


def _paths(given: pb.Reminder, mask: FieldMask) -> list[str]:
    if not mask.paths:
        return [field.name for field, _ in given.ListFields() if field.name in _CHANGEABLE]
    # Subfields stand for their whole: a check or bounds are given whole.
    paths = [path.split(".")[0] for path in mask.paths]
    wanted = [*_CHANGEABLE] if paths == ["*"] else list(dict.fromkeys(path for path in paths if path not in _NAMING))
    if unknown := [path for path in wanted if path not in _CHANGEABLE]:
        known = ", ".join(json_name(name) for name in _CHANGEABLE)
        rule = f"names {json_name(unknown[0])}, which cannot be changed; these can: {known}"
        raise InvalidArgument(violations=[FieldViolation("updateMask", rule, "MASK")], reason="INVALID_FIELD")
    return wanted


def _tell(message: pb.Reminder, value: Content) -> None:
    message.title, message.body, message.link = value.title, value.body, value.link
    if value.data:
        message.data.update(cast(dict[str, Any], json.loads(value.data)))
    message.times_of_day.extend(f"{at:%H:%M}" for at in value.recurrence.times)
    message.cron, message.time_zone = value.recurrence.cron, value.recurrence.zone
    if value.start is not None:
        message.start_time.FromDatetime(value.start)
    if value.end is not None:
        message.end_time.FromDatetime(value.end)
    if value.channel is not None:
        message.MergeFrom(pb.Reminder(channel=value.channel.value))
    if value.check is not None:
        check = pb.ReminderCheck(url=value.check.url, on_no_answer=value.check.on_no_answer.value)
        check.timeout.FromTimedelta(value.check.timeout)
        message.check.CopyFrom(check)
    message.MergeFrom(pb.Reminder(missed_policy=value.missed.value))
    message.catch_up_window.FromTimedelta(value.window)
    if value.adaptive is not None:
        message.adaptive.min_every, message.adaptive.max_every = value.adaptive.min_every, value.adaptive.max_every


def reminder(value: Reminder) -> pb.Reminder:
    """A reminder."""
    message = pb.Reminder(
        id=value.id,
        tenant=value.tenant,
        user=value.user,
        state=value.state.value,
        next_run_time=timestamp(value.next_run),
        every=value.every,
        version=value.version,
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
    )
    _tell(message, value.content)
    return message


def state(value: int) -> State | None:
    """None for unspecified."""
    return State(pb.Reminder.State.Name(cast(Any, value))) if value else None


def decision(value: int) -> Decision | None:
    """None for unspecified."""
    return Decision(pb.ReminderOccurrence.Decision.Name(cast(Any, value))) if value else None


def occurrence(value: Occurrence) -> pb.ReminderOccurrence:
    """An occurrence."""
    return pb.ReminderOccurrence(
        reminder=value.reminder,
        time=timestamp(value.at),
        through=timestamp(value.through),
        decision=value.decision.value,
        reason=value.reason.value if value.reason else None,
        check_outcome=value.answer.outcome.value if value.answer else None,
        check_attempts=value.answer.attempts if value.answer else 0,
        error=value.error,
        notification=value.notification,
        decide_time=timestamp(value.decided_at),
        open_time=timestamp(value.opened_at),
    )


def statistics(value: ReminderStatistics) -> pb.ReminderStatistics:
    """Statistics."""
    sent = value.count(Decision.SENT)
    return pb.ReminderStatistics(
        sent=sent,
        skipped=value.count(Decision.SKIPPED),
        held=value.count(Decision.HELD),
        pending=value.count(Decision.PENDING),
        skipped_by_reason={
            reason.value: count
            for (decided, reason), count in value.counts.items()
            if decided is Decision.SKIPPED and reason is not None
        },
        unanswered=value.unanswered,
        opened=value.opened,
        open_rate=value.opened / sent if sent else None,
        every=value.every,
        next_run_time=timestamp(value.next_run),
        reminders=value.reminders,
    )
