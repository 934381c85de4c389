"""Attempts to deliver, their outcomes, and what follows from them."""

import enum
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.notification.domain.notification import ChannelName, Type, error_text
from services.notification.domain.retry_schedule import RetrySchedule

SHOWN_TOKEN = 12
"""Characters of an FCM token that are shown."""
MOST_OF_USER = 100
"""Addresses that a user may have: a notification has a delivery for each."""


_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters, as which bytes come that are no text."""


class FailureKind(enum.StrEnum):
    """What a failure means for the next attempt. Decided by typed codes, never by the text of a message."""

    PERMANENT = "PERMANENT"
    """It will never work: no further attempt."""
    TRANSIENT = "TRANSIENT"
    """It may work later."""
    THROTTLED = "THROTTLED"
    """The receiver asks for fewer or later ones."""


class UnknownOutcome(enum.StrEnum):
    """What to do where nobody knows whether a receiver has taken a message: a process or a connection broke down
    after it had been handed over."""

    RESEND = "resend"
    """Send it again with the same id: it surely arrives, perhaps twice."""
    HOLD = "hold"
    """Leave it to a person, in the dead letters: it arrives at most once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt. `code` is for programs (`SMTP_550_5.1.1`, `FCM_UNREGISTERED`), `message` for people.

    `asked` is what the receiver asked to wait, `floor` the least that the provider's rules allow. `endpoint_gone`: the
    address is dead and must be forgotten. `unknown`: the receiver may have taken it all the same. `unanswered`: nobody
    said anything, the server hangs or cannot be reached. `away`: it never came to the message, the server takes none at
    all now. `critical`: our own configuration is at fault, an operator must act."""

    kind: FailureKind
    code: str
    message: str
    asked: timedelta | None = None
    floor: timedelta | None = None
    endpoint_gone: bool = False
    unknown: bool = False
    unanswered: bool = False
    away: bool = False
    critical: bool = False

    def __post_init__(self) -> None:
        # What a receiver says may be any bytes; it is stored and shown.
        for name in ("code", "message"):
            object.__setattr__(self, name, _UNSTORABLE.sub("\ufffd", getattr(self, name)))

    @property
    def hopeless(self) -> bool:
        """Whether no further attempt makes sense."""
        return self.kind is FailureKind.PERMANENT

    @property
    def text(self) -> str:
        """Code and message, if there is one, on one line."""
        return error_text(self.code, self.message)


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver took it; `detail` is what it said (a message id, a status line)."""

    detail: str = ""


Outcome = Sent | Failure


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a user, or a subscriber's. `secret` signs webhooks, `former_secret` as well while a rotation
    overlaps, until `former_secret_until`; both are empty for other channels. `version` rises with every change."""

    id: str
    channel: ChannelName
    address: str
    secret: str = field(default="", repr=False)
    former_secret: str = field(default="", repr=False)
    former_secret_until: datetime | None = field(default=None, compare=False)
    version: int = field(default=1, compare=False)

    def at(self, now: datetime) -> "Endpoint":
        """With the secrets that sign now."""
        if not self.former_secret or (self.former_secret_until is not None and self.former_secret_until > now):
            return self
        return replace(self, former_secret="")

    @property
    def shown(self) -> str:
        """The address for people: tokens are shortened."""
        if self.channel is ChannelName.FCM and len(self.address) > SHOWN_TOKEN:
            return self.address[:SHOWN_TOKEN] + "\u2026"
        return self.address

    @property
    def masked(self) -> str:
        """Enough of the address to know it again: neither names of people, nor paths and queries, which may be
        secrets."""
        return _masked(self.channel, self.shown)


def _masked(channel: ChannelName, address: str) -> str:
    if channel is ChannelName.EMAIL:
        name, _, domain = address.rpartition("@")
        return f"{name[:1]}\u2026@{domain}"
    if channel is ChannelName.WEBHOOK:
        scheme, _, rest = address.partition("://")
        return f"{scheme}://{rest.partition('/')[0].partition('?')[0]}/\u2026"
    return address


CONSOLE = Endpoint("", ChannelName.CONSOLE, "console")
"""The console needs no address."""

NO_ENDPOINT = Failure(kind=FailureKind.PERMANENT, code="NO_ENDPOINT", message="the user has no address for the channel")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A notification as a channel sends it; `id` is the same in every attempt, so that receivers can tell repeats."""

    id: str
    tenant: str
    user: str
    type: Type
    title: str
    body: str
    data: str
    created_at: datetime
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from an attempt: sent, tried again after `wait`, or given up (`wait` None and not `sent`).

    `gone`: the address is to be forgotten. `reached`: the attempt may have reached somebody, so that it counts for the
    user's limit. `held`: nobody knows whether it has, and a person is to decide: nothing else is tried. `repeat`: a
    process had ended during an earlier attempt, and that one may have reached the address.
    """

    sent: bool
    reached: bool = False
    wait: timedelta | None = None
    failure: Failure | None = None
    gone: bool = False
    held: bool = False
    repeat: bool = False


def decide(
    outcome: Outcome,
    *,
    failures: int,
    schedule: RetrySchedule,
    unknown: UnknownOutcome = UnknownOutcome.RESEND,
    repeat: bool = False,
    randomness: float = 0.0,
) -> Decision:
    """The decision after an attempt at one address; `failures` counts this one, if it failed."""
    if isinstance(outcome, Sent):
        return Decision(sent=True, reached=True, repeat=repeat)
    held = outcome.unknown and unknown is UnknownOutcome.HOLD
    wait = None
    if outcome.kind is not FailureKind.PERMANENT and not held:
        wait = schedule.wait(failures, asked=outcome.asked, floor=outcome.floor, randomness=randomness)
    return Decision(
        sent=False,
        reached=outcome.unknown,
        wait=wait,
        failure=outcome,
        gone=outcome.endpoint_gone,
        held=held,
        repeat=repeat,
    )
