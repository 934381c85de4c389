"""What can go wrong with a question, by the reasons of the contract."""

from services.chassis.errors import Aborted, FieldViolation, InvalidArgument, ResourceExhausted


class FieldInvalid(InvalidArgument):
    """A field breaks a rule."""

    reason = "INVALID_FIELD"

    def __init__(self, field: str, description: str) -> None:
        super().__init__(violations=[FieldViolation(field, description, self.reason)])


class StepUnknown(InvalidArgument):
    """No windows are kept at this step."""

    reason = "STEP_UNKNOWN"

    def __init__(self, step: str, known: str) -> None:
        super().__init__(
            violations=[FieldViolation("step", f"must be one of {known}", self.reason)],
            metadata={"step": step, "known": known},
        )


class TooManyWatchers(ResourceExhausted):
    """The limit of live streams is reached."""

    reason = "TOO_MANY_WATCHERS"


class WatcherTooSlow(Aborted):
    """The stream was ended since its reader fell too far behind; open it again."""

    reason = "WATCHER_TOO_SLOW"
