"""Work that a process has claimed, and what became of it: the values that queues and use cases exchange."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.delivery import Decision, Endpoint, Failure, Outgoing, UnknownOutcome
from services.notification.domain.invoice import Debt, InvoiceState, Place
from services.notification.domain.lane import Lane, Priority
from services.notification.domain.notification import HISTORY_LIMIT, Attempt, ChannelName


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage:
    """A public event for a subscriber: `body` is the CloudEvents JSON that is posted as it is."""

    id: str
    event_id: str
    type: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery, to one address, that this process may attempt until its lease ends."""

    id: str
    lease: str
    lane: Lane
    receiver: str
    """Whose server it goes to, in lanes of many receivers; else empty."""
    tenant: str
    reference: str
    """The notification, or for events the subscription."""
    channel: ChannelName
    message: Outgoing | EventMessage
    endpoint: Endpoint | None
    """Where it is to go; None where that address is not the user's any more."""
    priority: Priority = Priority.ALERT
    attempts: int = 0
    claims: int = 1
    crashed: bool = False
    """Whether an earlier claim ended without a word: the attempt may have been made."""
    history: tuple[Attempt, ...] = ()
    """Failures, of events only: those of a notification are kept with it."""
    blocked: Failure | None = None
    """Why no attempt makes sense (its subscription was disabled)."""
    unknown: UnknownOutcome | None = None
    """What the subscription says about unknown outcomes."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The deliveries claimed, and in how long the next one is due (None: none waits)."""

    claimed: tuple[Claimed, ...]
    next_due: timedelta | None


@dataclass(frozen=True, slots=True)
class Completion:
    """A claimed delivery and what became of it."""

    claimed: Claimed
    decision: Decision

    def attempt(self, now: datetime) -> Attempt:
        """For the history: the attempt, which ended now."""
        point, failure = self.claimed.endpoint, self.decision.failure
        address = "" if point is None else point.shown
        code, message = ("", "") if failure is None else (failure.code, failure.message)
        return Attempt(now, code, message, self.claimed.channel, address, self.decision.repeat)

    def history(self, now: datetime) -> tuple[Attempt, ...]:
        """The latest failed attempts at delivering an event, oldest first, with the one that ended now if it failed."""
        failure = self.decision.failure
        if failure is None:
            return self.claimed.history
        return (*self.claimed.history, Attempt(now, failure.code, failure.message))[-HISTORY_LIMIT:]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedInvoice:
    """An invoice that this process may work on until its lease ends."""

    debt: Debt
    lease: str
    state: InvoiceState
    attempts: int
    place: Place | None = None
    crashed: bool = False
    """An earlier process had begun to send the e-mail and ended without a word."""
    doubtful: bool = False
    """An earlier e-mail may have been taken, which has been written down."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The e-mail is about to be handed over."""

    invoice: ClaimedInvoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailed:
    """How an invoice's e-mail ended: taken (`failure` None), to be tried after `wait`, or given up (`wait` None)."""

    invoice: ClaimedInvoice
    failure: Failure | None = None
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferred:
    """No attempt was made, because of `failure`, which is none of the invoice's; it is due again after `wait`."""

    invoice: ClaimedInvoice
    failure: Failure
    wait: timedelta


InvoiceChange = Sending | Mailed | Deferred


@dataclass(frozen=True, slots=True)
class InvoiceClaims:
    """As Claims."""

    claimed: tuple[ClaimedInvoice, ...]
    next_due: timedelta | None
