"""The errors that cross a boundary of Tocsin, by kind; standard library only.

A rule or use case raises a subclass of one *kind* below; `services.chassis.grpc.status` maps kinds (and nothing else)
to gRPC statuses. A service names its own errors after what went wrong and gives each the reason that its contract
documents::

    class DebtFileNotFound(NotFound):
        '''There is no debt file with this id.'''

        reason = "DEBT_FILE_NOT_FOUND"

    raise DebtFileNotFound(metadata={"debtFileId": file_id})

`reason` is an `ErrorReason` value of the service's `error_reason.proto` without its prefix. Clients decide on it,
people read the message; both leave the process, so neither may hold a secret or another tenant's data.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of a request.

    `field` is the path as REST users see it (`readings[2].sensorType`), `description` a sentence without the offending
    value's full text, `reason` an UPPER_SNAKE_CASE word for programs.
    """

    field: str
    description: str
    reason: str = "INVALID"


class DomainError(Exception):
    """Something went wrong. `violations`: the fields of the request that are to blame, where some are."""

    reason: str = "UNKNOWN"
    violations: tuple[FieldViolation, ...] = ()

    def __init__(
        self,
        message: str | None = None,
        *,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or default_message(type(self))
        if reason is not None:
            self.reason = reason
        self.metadata: dict[str, str] = dict(metadata or {})
        super().__init__(self.message)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason}: {self.message})"


class _Retryable(DomainError):
    """The caller may try again later."""

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: timedelta | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.retry_after = retry_after


class InvalidArgument(DomainError):
    """The request breaks a rule of the contract, whatever the state of the system."""

    reason = "INVALID_ARGUMENT"

    def __init__(
        self,
        message: str | None = None,
        *,
        violations: Iterable[FieldViolation] = (),
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.violations = tuple(violations)
        if message is None and self.violations:
            first = self.violations[0]
            message = f"{first.field}: {first.description}" if first.field else first.description
        super().__init__(message, reason=reason, metadata=metadata)


class NotFound(DomainError):
    """The resource does not exist, or the caller may not know that it does."""

    reason = "NOT_FOUND"


class AlreadyExists(DomainError):
    """A resource with this id exists already, with other content."""

    reason = "ALREADY_EXISTS"


class FailedPrecondition(DomainError):
    """The system is not in the state that the request needs; retrying alone will not help."""

    reason = "FAILED_PRECONDITION"


class Aborted(DomainError):
    """The request met a concurrent change; read again, then retry."""

    reason = "ABORTED"


class OutOfRange(DomainError):
    """The request reaches past the valid range."""

    reason = "OUT_OF_RANGE"


class PermissionDenied(DomainError):
    """The caller is known, and may not do this."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(DomainError):
    """The request carries no valid token."""

    reason = "UNAUTHENTICATED"


class ResourceExhausted(_Retryable):
    """A limit is reached."""

    reason = "RESOURCE_EXHAUSTED"


class Unavailable(_Retryable):
    """A part that the request needs does not answer now; nothing was changed, so a retry is safe."""

    reason = "UNAVAILABLE"


class DeadlineExceeded(DomainError):
    """The request did not finish before its deadline; it may or may not have taken effect."""

    reason = "DEADLINE_EXCEEDED"


class Cancelled(DomainError):
    """The caller gave the request up."""

    reason = "CANCELLED"


class Unimplemented(DomainError):
    """The method or option does not exist here."""

    reason = "UNIMPLEMENTED"


class DataLoss(DomainError):
    """Stored data is missing or damaged."""

    reason = "DATA_LOSS"


class Internal(DomainError):
    """The service failed; the failure is logged under the request id."""

    reason = "INTERNAL"


def default_message(kind: type[DomainError]) -> str:
    """The first paragraph of the class's docstring, on one line."""
    text = inspect.cleandoc(kind.__doc__ or kind.__name__).split("\n\n")[0]
    return " ".join(text.split())
