"""The errors of the service's contract."""

from services.chassis.errors import FailedPrecondition, NotFound, ResourceExhausted


class VideoNotFound(NotFound):
    """There is no result for an alert with this uid (yet)."""

    reason = "NOT_FOUND"


class VideoNotFailed(FailedPrecondition):
    """The video has not failed, there is nothing to retry."""

    reason = "NOT_FAILED"


class TooManyProbes(ResourceExhausted):
    """All probes on demand are taken; try again in a moment."""

    reason = "TOO_MANY_PROBES"
