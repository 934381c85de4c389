"""What the use cases need from the outside, by role. Implemented in `adapters`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.chassis.errors import DomainError
from services.notification.domain.delivery import Attempt, Decision, Endpoint, Failure, Outcome, Outgoing
from services.notification.domain.invoice import Debt, Invoice, InvoiceState, Place
from services.notification.domain.notification import ChannelName, Draft, Notification, Status
from services.notification.domain.webhook import Subscription


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
class Settlement:
    """A claimed delivery and what became of it."""

    claimed: Claimed
    decision: Decision


@dataclass(frozen=True, slots=True)
class Accepted:
    """A notification that is durable. `existing`: an earlier call with the same idempotency key had made it."""

    notification: Notification
    existing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications of a tenant are wanted; empty values do not limit."""

    tenant: str
    user: str = ""
    status: Status | None = None
    unread: bool = False


Position = tuple[datetime, str]
"""Where a page ended: time and id of its last entry."""


class DeliveryQueue(Protocol):
    """The schedule of deliveries, shared by all replicas."""

    async def claim(self, limit: int) -> Claims:
        """Claims what is due, within the rate limit of each user; what is over it gets its turn later."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Notification | None]:
        """Writes outcomes, status changes and dead letters in one transaction. The answer has the notification after
        its change; None for events, and for deliveries whose lease another process has taken over."""
        ...

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Hands back what was claimed and not attempted."""
        ...


class NotificationStore(Protocol):
    """Notifications of all tenants."""

    async def accept(self, drafts: Sequence[tuple[Draft, ChannelName]]) -> Sequence[Accepted | DomainError]:
        """Makes the notifications durable and due, all in one transaction; the outcome of each in their order."""
        ...

    async def accept_claimed(self, draft: Draft, channel: ChannelName) -> Accepted | Claimed:
        """Makes the notification durable and claims it for an attempt now; `Accepted` (existing) where the idempotency
        key was used before. Raises RateLimited and IdempotencyConflict, and then leaves nothing behind."""
        ...

    async def get(self, tenant: str, id_: str) -> Notification:
        """Raises NotificationNotFound."""
        ...

    async def page(self, wanted: NotificationFilter, *, limit: int, after: Position | None) -> Sequence[Notification]:
        """Up to `limit` notifications, newest first, after the position."""
        ...

    async def mark_read(self, notification: Notification) -> bool:
        """Marks it read if it still has the version that is given; False if it does not."""
        ...


class EndpointStore(Protocol):
    """Addresses of users."""

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """The address, when it was renewed, and whether it is new (a known one keeps its secret)."""
        ...

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """Up to `limit` addresses of the user by id, after an id."""
        ...

    async def delete(self, tenant: str, user: str, id_: str) -> bool:
        """False when there was none."""
        ...

    async def channels(self, users: Sequence[tuple[str, str]]) -> dict[tuple[str, str], frozenset[ChannelName]]:
        """The channels that users, given as (tenant, user), have addresses for."""
        ...


class SubscriptionStore(Protocol):
    """Webhook subscriptions."""

    async def add(self, subscription: Subscription, prepare: Callable[[], Awaitable[None]]) -> Subscription:
        """Keeps it, after `prepare` has seen to it that events of its types are consumed; `when_unwanted` waits."""
        ...

    async def get(self, id_: str) -> Subscription:
        """Raises SubscriptionNotFound."""
        ...

    async def page(self, *, limit: int, after: str) -> Sequence[Subscription]:
        """Up to `limit` subscriptions by id, after an id."""
        ...

    async def delete(self, id_: str) -> bool:
        """Removes it with its waiting deliveries; False when there was none."""
        ...

    async def wanted_types(self) -> frozenset[str]:
        """The event types that an enabled subscription wants."""
        ...

    async def when_unwanted(self, event_type: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Does `act` if nobody wants the type; nobody can begin to want one meanwhile."""
        ...


class EventFeed(Protocol):
    """The public events, of which only those of wanted types are consumed."""

    async def begin(self, event_types: Sequence[str]) -> None:
        """Events of these types that are published from now on will be seen (once they are wanted)."""
        ...


class TargetGuard(Protocol):
    """Decides where webhooks may go."""

    async def check(self, url: str, field: str) -> None:
        """Raises TargetBlocked about the field of the request."""
        ...


class Channel(Protocol):
    """A way to a person or a system. Delivery problems are outcomes; an exception is a defect."""

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt at one address, bounded in time."""
        ...


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


class InvoiceStore(Protocol):
    """Invoices and their state machine."""

    async def claim(self, limit: int, *, mail: bool) -> InvoiceClaims:
        """Claims what is due; invoices whose e-mail is due only with `mail`."""
        ...

    async def stored(self, places: Sequence[tuple[ClaimedInvoice, Place]]) -> None:
        """The PDFs are kept: PENDING becomes STORED, still claimed. A lease taken over is left alone."""
        ...

    async def change(self, changes: Sequence[InvoiceChange]) -> Sequence[bool]:
        """Writes all in one transaction; False where the lease was taken over."""
        ...

    async def release(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """Hands back what was claimed and not sent."""
        ...

    async def get(self, debt: str) -> Invoice:
        """Raises InvoiceNotFound."""
        ...

    async def page(
        self, *, debt_file: str, state: InvoiceState | None, limit: int, after: Position | None
    ) -> Sequence[Invoice]:
        """Up to `limit` invoices, newest first, after the position."""
        ...


class DocumentStore(Protocol):
    """Keeps PDFs for a time; several together in one object."""

    async def put(self, name: str, content: bytes) -> None:
        """Returns once it is durable. Raises Unavailable."""
        ...

    async def get(self, name: str) -> bytes | None:
        """None when it is not there (any more). Raises Unavailable."""
        ...


class RenderFailed(Exception):
    """The renderer could not make these PDFs."""


class Renderer(Protocol):
    """Makes PDFs, off the event loop."""

    async def render(self, debts: Sequence[Debt]) -> Sequence[bytes]:
        """A PDF for each debt, the same bytes for the same debt. Raises RenderFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An e-mail ready to be handed over."""

    recipient: str
    content: bytes = field(repr=False)


class Mailer(Protocol):
    """Hands e-mails to the mail server."""

    async def send(self, mail: Mail) -> Outcome:
        """One attempt, bounded in time."""
        ...


class Meter(Protocol):
    """Measures handlers."""

    def observe(self, handler: str, seconds: float, *, failed: bool) -> None:
        """One message has been handled."""
        ...
