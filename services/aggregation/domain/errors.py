"""What can go wrong with a question, by the reasons of the contract."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.aggregation.domain.series import SeriesKey
from services.chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)


class FieldInvalid(InvalidArgument):
    """A field breaks a rule."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str, rule: str = "INVALID_FIELD") -> None:
        super().__init__(violations=[FieldViolation(field, description, rule)])


class StepUnknown(InvalidArgument):
    """No windows are kept at this step."""

    reason = "STEP_UNKNOWN"

    def __init__(self, step: str, known: str, field: str = "step") -> None:
        super().__init__(
            violations=[FieldViolation(field, f"must be one of {known}", self.reason)],
            metadata={"step": step, "known": known},
        )


class TooManyWatchers(ResourceExhausted):
    """The limit of live streams is reached."""

    reason = "TOO_MANY_WATCHERS"


class WatcherTooSlow(Aborted):
    """The stream was ended since its reader fell too far behind; open it again."""

    reason = "WATCHER_TOO_SLOW"


class AlarmRuleNotFound(NotFound):
    """There is no such rule."""

    reason = "ALARM_RULE_NOT_FOUND"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class AlarmRuleExists(AlreadyExists):
    """The id of the rule is taken."""

    reason = "ALARM_RULE_EXISTS"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class TooManyAlarmRules(ResourceExhausted):
    """The limit of rules is reached."""

    reason = "TOO_MANY_ALARM_RULES"

    def __init__(self, limit: int) -> None:
        super().__init__(metadata={"limit": str(limit)})


class ReadingNotFound(NotFound):
    """The series holds no reading of this event time."""

    reason = "READING_NOT_FOUND"

    def __init__(self, key: SeriesKey, time: int, what: str = "of") -> None:
        at = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=time)).isoformat().replace("+00:00", "Z")
        device = f"device {key.device}" if key.device else "without a device"
        super().__init__(
            f"{key.building}/{key.room} holds no {key.sensor_type} {what} {at} ({device})",
            metadata={
                "building": key.building,
                "room": key.room,
                "sensorType": key.sensor_type,
                "device": key.device,
                "eventTime": at,
            },
        )


class TooManyReadings(InvalidArgument):
    """The range holds more readings than are amended at once."""

    reason = "TOO_MANY_READINGS"

    def __init__(self, limit: int) -> None:
        described = f"must leave a range of {limit:,} readings at the most; void them in parts"
        super().__init__(violations=[FieldViolation("to", described, self.reason)], metadata={"limit": str(limit)})


class CorrectionNotFound(NotFound):
    """There is no such correction in the room."""

    reason = "CORRECTION_NOT_FOUND"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class TenantUnknown(InvalidArgument):
    """The deployment has no such tenant."""

    reason = "TENANT_UNKNOWN"

    def __init__(self, tenant: str, known: Sequence[str]) -> None:
        named = ", ".join(known)
        super().__init__(
            violations=[FieldViolation("rule.tenant", f"must be a tenant of the deployment: {named}", self.reason)],
            metadata={"tenant": tenant, "known": named},
        )


class AlarmNotFound(NotFound):
    """There is no such alarm."""

    reason = "ALARM_NOT_FOUND"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class AlarmNotRaised(FailedPrecondition):
    """Only a raised alarm can be acknowledged, or closed."""

    reason = "ALARM_NOT_RAISED"

    def __init__(self, id_: str, state: str, what: str = "acknowledged") -> None:
        super().__init__(f"the alarm is {state}: only a raised one can be {what}", metadata={"id": id_, "state": state})
