"""Work that a process has claimed, and what became of it: the values that queues and use cases exchange."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.delivery import HISTORY_LIMIT, Attempt, Decision, Endpoint, Failure, Outgoing
from services.notification.domain.invoice import Debt, InvoiceState, Place
from services.notification.domain.notification import ChannelName, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMessage:
    """A public event for a subscriber: `body` is the CloudEvents JSON that is posted as it is."""

    id: str
    event_id: str
    type: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that this process may attempt until its lease ends."""

    id: str
    lease: str
    tenant: str
    reference: str
    """The notification, or for events the subscription."""
    channel: ChannelName
    message: Outgoing | EventMessage
    endpoints: tuple[Endpoint, ...] = ()
    """Where it is to go; empty for the console, and where the user has no address any more."""
    attempts: int = 0
    claims: int = 1
    done: frozenset[str] = frozenset()
    history: tuple[Attempt, ...] = ()
    blocked: Failure | None = None
    """Why no attempt makes sense (its subscription was disabled)."""


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

    @property
    def status(self) -> Status:
        """Where the delivery stands after it."""
        if self.decision.sent:
            return Status.SENT
        return Status.FAILED if self.decision.wait is None else Status.PENDING

    def history(self, now: datetime) -> tuple[Attempt, ...]:
        """The latest failed attempts, oldest first, with the one that ended now if it failed."""
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
    unknown: bool = False
    """An earlier process had begun to send the e-mail and nobody knows how it ended."""


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


InvoiceChange = Sending | Mailed


@dataclass(frozen=True, slots=True)
class InvoiceClaims:
    """As Claims."""

    claimed: tuple[ClaimedInvoice, ...]
    next_due: timedelta | None
