"""What can go wrong with reminders, with the reasons that the contract documents."""

from services.chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)


class ReminderNotFound(NotFound):
    """There is no reminder with this id."""


class ReminderExists(AlreadyExists):
    """There is another reminder with this id or idempotency key."""

    reason = "REMINDER_EXISTS"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class ReminderLimit(ResourceExhausted):
    """There are as many reminders as there may be."""

    reason = "REMINDER_LIMIT"

    def __init__(self, scope: str, limit: int) -> None:
        super().__init__(f"the {scope} has {limit} reminders, the most there may be", metadata={"scope": scope})
        self.metadata["limit"] = str(limit)


class ReminderEnded(FailedPrecondition):
    """The reminder has no run left; change its period first."""

    reason = "REMINDER_ENDED"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class ScheduleInvalid(InvalidArgument):
    """The times, the cron expression, the zone or the period of a reminder are none, or never come."""

    reason = "SCHEDULE_INVALID"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(violations=[FieldViolation(field, description, "SCHEDULE_INVALID")])


class CheckOriginForbidden(InvalidArgument):
    """The operator does not allow checks at this origin."""

    reason = "CHECK_ORIGIN_FORBIDDEN"

    def __init__(self, origin: str) -> None:
        rule = f"{origin} is not among TOCSIN_NOTIFICATION_REMINDER_CHECK_ORIGINS"
        super().__init__(
            violations=[FieldViolation("reminder.check.url", rule, "CHECK_ORIGIN_FORBIDDEN")],
            metadata={"origin": origin},
        )
