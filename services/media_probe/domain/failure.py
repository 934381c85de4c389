"""Why a video could not be probed."""

import enum
from datetime import timedelta


class Failure(enum.Enum):
    """The reasons of the contract, by their names there."""

    NOT_MEDIA = "NOT_MEDIA"
    TRUNCATED = "TRUNCATED"
    UNSUPPORTED = "UNSUPPORTED"
    NOT_FOUND = "NOT_FOUND"
    BLOCKED_TARGET = "BLOCKED_TARGET"
    TIMEOUT = "TIMEOUT"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    UNREACHABLE = "UNREACHABLE"
    CRASHED = "CRASHED"


class ProbeFailed(Exception):
    """A probe ended without width and height. `transient`: the same probe may succeed later, not before `retry_after`
    where the server said so."""

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        transient: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(f"{failure.value}: {message}")
        self.failure = failure
        self.message = message
        self.transient = transient
        self.retry_after = retry_after
