"""What can go wrong in the notification service, with the reasons that its contract documents."""

from datetime import datetime, timedelta

from services.chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)


class NotificationNotFound(NotFound):
    """There is no notification with this id."""


class EndpointNotFound(NotFound):
    """The user has no address with this id."""


class PlanNotFound(NotFound):
    """The user has no plan of their own for the type."""


class SubscriptionNotFound(NotFound):
    """There is no webhook subscription with this id."""


class SubscriptionExists(AlreadyExists):
    """The URL is subscribed to some of these events already: each would come twice."""

    reason = "SUBSCRIPTION_EXISTS"

    def __init__(self, id_: str, url: str) -> None:
        super().__init__(
            f"the subscription {id_} has this URL and some of these events: each would come twice",
            metadata={"id": id_, "url": url},
        )


class InvoiceNotFound(NotFound):
    """There is no invoice for this debt."""


class DebtFileUnknown(NotFound):
    """No debt of this file is known here."""

    def __init__(self, debt_file: str) -> None:
        super().__init__(
            "no invoice comes from a debt file with this id (or its rows are not registered yet)",
            metadata={"id": debt_file},
        )


class InvoiceNotWaiting(FailedPrecondition):
    """There is nothing to try again: the invoice is mailed, or being worked on."""

    reason = "INVOICE_NOT_WAITING"

    def __init__(self, debt: str, state: str) -> None:
        super().__init__(
            f"it is {state}, and has neither failed nor waits for another attempt",
            metadata={"id": debt, "state": state},
        )


class MailServerAway(Unavailable):
    """The mail server takes no mail at all now."""


class DeadLetterNotFound(NotFound):
    """There is no dead letter with this id."""


class DeadLetterClosed(FailedPrecondition):
    """The dead letter has been retried before, or is not whole and can only be archived."""

    reason = "DEAD_LETTER_CLOSED"

    def __init__(self, id_: str, state: str, by: str, at: datetime | None, *, cut: bool) -> None:
        when = "" if at is None else at.isoformat(timespec="seconds")
        message = (
            f"it was too large to be kept whole, and can only be archived: {id_}"
            if cut
            else f"it is {state} since {when}, by {by}"
        )
        super().__init__(message, metadata={"id": id_, "state": state, "by": by, "at": when})


class TenantUnknown(NotFound):
    """The deployment has no such tenant."""

    reason = "TENANT_UNKNOWN"

    def __init__(self, tenant: str, known: tuple[str, ...]) -> None:
        super().__init__(metadata={"tenant": tenant, "known": " ".join(known)})


class TenantForbidden(PermissionDenied):
    """The token does not name the tenant."""

    reason = "TENANT_DENIED"

    def __init__(self, tenant: str) -> None:
        super().__init__(metadata={"tenant": tenant})


class PeriodInvalid(InvalidArgument):
    """A period that nothing can be said about: its end is not after its start, or it is too long."""

    def __init__(self, description: str) -> None:
        super().__init__(violations=[FieldViolation("to", description, "PERIOD_INVALID")], reason="INVALID_FIELD")


class RateLimited(ResourceExhausted):
    """The user has been sent as many notifications as the limit allows for now."""

    reason = "RATE_LIMITED"

    def __init__(self, user: str, limit: int, period: timedelta, retry_after: timedelta) -> None:
        super().__init__(
            retry_after=retry_after,
            metadata={"user": user, "limit": str(limit), "period": f"{period.total_seconds():g}s"},
        )


class EndpointLimit(ResourceExhausted):
    """The user has as many addresses as one may have."""

    reason = "ENDPOINT_LIMIT"

    def __init__(self, user: str, limit: int) -> None:
        super().__init__(
            f"the user has {limit} addresses, the most there may be; delete one",
            metadata={"user": user, "limit": str(limit)},
        )


class NoEndpoint(FailedPrecondition):
    """The user has no address for the channel."""

    reason = "NO_ENDPOINT"

    def __init__(self, user: str, channel: str) -> None:
        super().__init__(metadata={"user": user, "channel": channel})


class ChannelNotConfigured(FailedPrecondition):
    """The deployment has no such channel."""

    reason = "CHANNEL_NOT_CONFIGURED"

    def __init__(self, channel: str) -> None:
        super().__init__(metadata={"channel": channel})


class DeliveryFailed(FailedPrecondition):
    """The attempt failed for good; the notification is FAILED and in the dead letters."""

    reason = "DELIVERY_FAILED"

    def __init__(self, id_: str, channel: str, error: str) -> None:
        super().__init__(metadata={"id": id_, "channel": channel, "error": error})


class IdempotencyConflict(AlreadyExists):
    """The idempotency key was used with other content."""

    reason = "IDEMPOTENCY_CONFLICT"

    def __init__(self, key: str) -> None:
        super().__init__(metadata={"idempotencyKey": key})


class VersionConflict(Aborted):
    """Another version of it stands than the caller expects."""

    reason = "VERSION_CONFLICT"

    def __init__(self, id_: str, expected: int, current: int) -> None:
        super().__init__(metadata={"id": id_, "expected": str(expected), "current": str(current)})


def check_version(id_: str, expected: int, current: int) -> None:
    """Raises VersionConflict where another version stands than the `expected` one (0: any)."""
    if expected not in (0, current):
        raise VersionConflict(id_, expected=expected, current=current)


class NotSigned(FailedPrecondition):
    """Only webhooks are signed; this address is of another channel."""

    reason = "NOT_SIGNED"

    def __init__(self, id_: str, channel: str) -> None:
        super().__init__(metadata={"id": id_, "channel": channel})


class ReceiptEarly(Aborted):
    """The attempt that the receipt is about has not been written down yet."""

    reason = "RECEIPT_EARLY"

    def __init__(self, id_: str) -> None:
        super().__init__(metadata={"id": id_})


class DataTooLarge(InvalidArgument):
    """`data` is larger than the limit."""

    reason = "DATA_TOO_LARGE"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            violations=[FieldViolation("data", f"must be at most {limit} bytes as JSON", "DATA_TOO_LARGE")],
            metadata={"bytes": str(size), "limit": str(limit)},
        )


class AddressInvalid(InvalidArgument):
    """The address is none that the channel can reach."""

    reason = "INVALID_FIELD"

    def __init__(self, description: str) -> None:
        super().__init__(violations=[FieldViolation("address", description, "ADDRESS_INVALID")])


class LinkForbidden(InvalidArgument):
    """A notification may not lead there."""

    reason = "LINK_FORBIDDEN"

    def __init__(self, field: str, origin: str, why: str) -> None:
        super().__init__(violations=[FieldViolation(field, why, "LINK_FORBIDDEN")], metadata={"origin": origin})


class LinkUnknown(NotFound):
    """There is no such link."""


class LinkExpired(FailedPrecondition):
    """The time of the link is over, or what it led to is gone."""

    reason = "LINK_EXPIRED"


class LinkKeyMissing(FailedPrecondition):
    """The deployment has no key to sign links with (TOCSIN_NOTIFICATION_LINK_KEY_FILE)."""

    reason = "LINK_KEY_MISSING"


class TargetBlocked(InvalidArgument):
    """The URL leads to where webhooks must not go."""

    reason = "TARGET_BLOCKED"

    def __init__(self, url: str, field: str, why: str) -> None:
        super().__init__(
            violations=[FieldViolation(field, why, "TARGET_BLOCKED")],
            metadata={"url": url},
        )
