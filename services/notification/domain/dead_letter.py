"""A dead letter: a message that a service has given up, kept with its reason, its history and what became of it."""

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LAST_TRY = "last try"
"""Who closes what is tried a last time by itself."""


class LetterState(enum.StrEnum):
    """OPEN until it is sent back or put away."""

    OPEN = "OPEN"
    RETRIED = "RETRIED"
    ARCHIVED = "ARCHIVED"


class ReasonClass(enum.StrEnum):
    """What kind of failure it was, and so what an operator can do."""

    BAD_CONTENT = "BAD_CONTENT"
    REFUSED = "REFUSED"
    UNREACHABLE = "UNREACHABLE"
    THROTTLED = "THROTTLED"
    UNKNOWN_OUTCOME = "UNKNOWN_OUTCOME"
    CONFIGURATION = "CONFIGURATION"
    DEFECT = "DEFECT"


_EXACT = {
    "ADDRESS_INVALID": ReasonClass.REFUSED,
    "CHANNEL_NOT_CONFIGURED": ReasonClass.CONFIGURATION,
    "FCM_QUOTA_EXCEEDED": ReasonClass.THROTTLED,
    "FCM_SENDER_ID_MISMATCH": ReasonClass.CONFIGURATION,
    "FCM_THIRD_PARTY_AUTH_ERROR": ReasonClass.CONFIGURATION,
    "FCM_PERMISSION_DENIED": ReasonClass.CONFIGURATION,
    "FCM_UNAUTHENTICATED": ReasonClass.CONFIGURATION,
    "FCM_UNREGISTERED": ReasonClass.REFUSED,
    "FCM_UNAVAILABLE": ReasonClass.UNREACHABLE,
    "FCM_INTERNAL": ReasonClass.UNREACHABLE,
    "FCM_TOO_LARGE": ReasonClass.BAD_CONTENT,
    "HTTP_408": ReasonClass.UNREACHABLE,
    "HTTP_429": ReasonClass.THROTTLED,
    "NAME_UNRESOLVED": ReasonClass.UNREACHABLE,
    "NO_EMAIL": ReasonClass.REFUSED,
    "NO_ENDPOINT": ReasonClass.REFUSED,
    "NOT_FOR_EMAIL": ReasonClass.BAD_CONTENT,
    "NOT_FOR_FCM": ReasonClass.BAD_CONTENT,
    "OUTCOME_UNKNOWN": ReasonClass.UNKNOWN_OUTCOME,
    "RENDER_FAILED": ReasonClass.BAD_CONTENT,
    "SUBSCRIPTION_DISABLED": ReasonClass.REFUSED,
    "TARGET_BLOCKED": ReasonClass.REFUSED,
    "TIMEOUT": ReasonClass.UNREACHABLE,
    # Exceptions of handlers, by their names.
    "DecodeError": ReasonClass.BAD_CONTENT,
    # Requests of trusted publishers, by the reasons of the contract.
    "DATA_TOO_LARGE": ReasonClass.BAD_CONTENT,
    "INVALID_FIELD": ReasonClass.BAD_CONTENT,
    "MALFORMED": ReasonClass.BAD_CONTENT,
    "IDEMPOTENCY_CONFLICT": ReasonClass.REFUSED,
    "NOT_FOUND": ReasonClass.REFUSED,
    "ReceiptEarly": ReasonClass.REFUSED,
    "TENANT_DENIED": ReasonClass.REFUSED,
    "VERSION_CONFLICT": ReasonClass.REFUSED,
    "InvalidArgument": ReasonClass.BAD_CONTENT,
    "Permanent": ReasonClass.BAD_CONTENT,
    "ValueError": ReasonClass.BAD_CONTENT,
    "ConnectionError": ReasonClass.UNREACHABLE,
    "RetryAfter": ReasonClass.UNREACHABLE,
    "TimeoutError": ReasonClass.UNREACHABLE,
    "Unavailable": ReasonClass.UNREACHABLE,
}
_BEGINNINGS = (
    ("FCM_TOKEN_4", ReasonClass.CONFIGURATION),
    ("FCM_TOKEN_", ReasonClass.UNREACHABLE),
    ("FCM_HTTP_5", ReasonClass.UNREACHABLE),
    ("FCM_ANSWER_", ReasonClass.UNREACHABLE),
    ("FCM_", ReasonClass.REFUSED),
    ("SMTP_535", ReasonClass.CONFIGURATION),
    ("SMTP_530", ReasonClass.CONFIGURATION),
    ("SMTP_5", ReasonClass.REFUSED),
    ("SMTP_", ReasonClass.UNREACHABLE),
    ("RECEIPT_", ReasonClass.REFUSED),
    ("HTTP_2", ReasonClass.REFUSED),
    ("HTTP_3", ReasonClass.REFUSED),
    ("HTTP_4", ReasonClass.REFUSED),
    ("HTTP_", ReasonClass.UNREACHABLE),
)


def reason_class(code: str) -> ReasonClass:
    """The class of a failure by its typed code: that of a delivery (`SMTP_550_5.1.1`) or the name of an exception. What
    nobody has foreseen is a defect."""
    if (found := _EXACT.get(code)) is not None:
        return found
    return next((found for beginning, found in _BEGINNINGS if code.startswith(beginning)), ReasonClass.DEFECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One failed attempt."""

    at: datetime
    error_type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What is known of one. `number` (from 1, growing) is its identity; `tenant` is empty for what belongs to none;
    `subject` is where it goes when it is sent back; `type` names the message in `payload`, of which only the beginning
    could be kept where it is `cut`. `about`: the same for the same message, however often it dies. `name`: the same
    however often this death is reported. `last_try_at`: when it is tried a last time by itself."""

    number: int = 0
    name: str
    about: str
    service: str
    consumer: str
    subject: str
    type: str
    tenant: str = ""
    reason_class: ReasonClass
    reason: str
    attempts: int
    history: tuple[FailedAttempt, ...] = ()
    first_seen: datetime
    dead_at: datetime
    headers: dict[str, str] = field(default_factory=dict[str, str])
    payload: bytes = b""
    cut: bool = False
    state: LetterState = LetterState.OPEN
    last_try_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str = ""

    def last_try(self, now: datetime, after: timedelta) -> datetime | None:
        """When it is to be tried a last time; never, where that is for a person to decide, or `after` is nothing."""
        return now + after if after and not self.cut and self.reason_class is not ReasonClass.UNKNOWN_OUTCOME else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are wanted; empty values do not limit. Those that died from `since` on, and before `until`.
    `tenants`: whose letters the caller may see beside those of none; None: everybody's. `whole`: without those that are
    cut."""

    state: LetterState = LetterState.OPEN
    service: str = ""
    reason_class: ReasonClass | None = None
    tenant: str = ""
    since: datetime | None = None
    until: datetime | None = None
    tenants: frozenset[str] | None = None
    whole: bool = False

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a letter is wanted."""
        return (
            letter.state is self.state
            and not (self.whole and letter.cut)
            and self.service in ("", letter.service)
            and self.reason_class in (None, letter.reason_class)
            and self.tenant in ("", letter.tenant)
            and (self.since is None or letter.dead_at >= self.since)
            and (self.until is None or letter.dead_at < self.until)
            and (self.tenants is None or not letter.tenant or letter.tenant in self.tenants)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterAlert:
    """What operators are told of letters that came since the last time: how many of each service, consumer and class,
    and the first of them; `last` is the highest number among them. `id` is the same however often it is told."""

    id: str
    last: int
    total: int
    since: datetime
    until: datetime
    counts: tuple[tuple[str, str, ReasonClass, int], ...]
    examples: tuple[DeadLetter, ...]

    @property
    def headline(self) -> str:
        """In one line."""
        letters = "a message" if self.total == 1 else f"{self.total:,} messages"
        return f"{letters} could not be processed"

    @property
    def text(self) -> str:
        """All of it, for people."""
        lines = [f"Since {self.since:%Y-%m-%d %H:%M:%S} UTC {self.headline}:", ""]
        lines += [
            f"{count:>9,}  {service}/{consumer}  {class_.lower().replace('_', ' ')}"
            for service, consumer, class_, count in self.counts
        ]
        lines += ["", "The first of them:"]
        lines += [
            f"  {one.number}  {one.service}/{one.consumer}  {one.type.rpartition('.')[2]}  {one.reason}"[:300]
            for one in self.examples
        ]
        lines += ["", "tocsin deadletters list shows them, tocsin deadletters retry is the way back."]
        return "\n".join(lines)
