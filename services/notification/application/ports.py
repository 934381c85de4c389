"""What the use cases need from the outside, by role. Implemented in `adapters`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.chassis.errors import DomainError
from services.notification.application.claimed_delivery import (
    Claimed,
    ClaimedInvoice,
    Claims,
    Completion,
    EventMessage,
    InvoiceChange,
    InvoiceClaims,
)
from services.notification.application.places import Room
from services.notification.domain.channel_plan import Contacts, Plan, Route
from services.notification.domain.dead_letter import DeadLetter, LetterAlert, LetterFilter, ReasonClass
from services.notification.domain.delivery import Endpoint, Outcome, Outgoing
from services.notification.domain.invoice import Debt, Invoice, InvoiceState, Place
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, Type
from services.notification.domain.receipt import Effect, Receipt
from services.notification.domain.webhook import Subscription


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A notification that is durable. `existing`: an earlier call with the same idempotency key had made it. `claimed`:
    those of its deliveries that were claimed with it."""

    notification: Notification
    existing: bool = False
    claimed: tuple[Claimed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications of a tenant are wanted; empty values do not limit. Those accepted from `since` on, and before
    `until`. `basic`: without body, data and next attempt."""

    tenant: str
    user: str = ""
    status: Status | None = None
    unread: bool = False
    since: datetime | None = None
    until: datetime | None = None
    basic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedFilter:
    """Which of a tenant's FAILED notifications are wanted; as NotificationFilter."""

    tenant: str
    user: str = ""
    type: Type | None = None
    channel: ChannelName | None = None
    since: datetime | None = None
    until: datetime | None = None


NO_ROOM: Mapping[Lane, Room] = {}

Position = tuple[datetime, str]
"""Where a page ended: time and id of its last entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicEvent:
    """A public event as it goes to subscribers: `body` is its CloudEvents JSON."""

    id: str
    type: str
    body: str
    published_at: datetime


class DeliveryQueue(Protocol):
    """The schedule of deliveries, shared by all replicas."""

    async def claim(self, room: Room) -> Claims:
        """Claims what is due in the room's lane, for each receiver no more than its room, and within the rate limit of
        each user; what is over the limit gets its turn later. Tenants take turns; of each, what is urgent goes first,
        then ALERT before REMINDER before INFO, then what was due first. No backlog of one is looked through for
        another's."""
        ...

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """Writes outcomes, status changes and dead letters in one transaction. The answer has the notification after
        its change; None for events, and for deliveries whose lease another process has taken over."""
        ...

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Hands back what was claimed and came to no outcome; such a claim does not count as one."""
        ...


class NotificationStore(Protocol):
    """Notifications of all tenants."""

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, Route]], *, rooms: Mapping[Lane, Room] = NO_ROOM
    ) -> Sequence[Enqueued | DomainError]:
        """Makes the notifications durable and due, all in one transaction; the outcome of each in their order.

        As many of their deliveries as the rooms allow are claimed with it, by the rules of `DeliveryQueue.claim` (none
        while older work of the tenant and receiver is due).
        """
        ...

    async def known(self, drafts: Sequence[Draft]) -> Sequence[Enqueued | DomainError | None]:
        """What has become of drafts whose idempotency keys were used before; None for the others."""
        ...

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, Route]]) -> int:
        """Like `enqueue`, for notifications that follow from an event: once for each event id. How many were made; a
        user whose idempotency key was used before has had theirs."""
        ...

    async def enqueue_claimed(self, draft: Draft, route: Route) -> Enqueued:
        """Makes the notification durable and claims all of it that is due for an attempt now; nothing where it is
        existing. Raises RateLimited and IdempotencyConflict, and then leaves nothing behind."""
        ...

    async def get(self, tenant: str, id_: str) -> Notification:
        """Raises NotificationNotFound."""
        ...

    async def page(self, wanted: NotificationFilter, *, limit: int, after: Position | None) -> Sequence[Notification]:
        """Up to `limit` notifications, newest first, after the position."""
        ...

    async def mark_read(self, tenant: str, id_: str, expected: int = 0, *, opened: bool = False) -> Notification:
        """Marks it read, and opened; the first times stay. Raises NotificationNotFound, and VersionConflict where
        another version stands than the `expected` one (0: any)."""
        ...

    async def mark_all_read(self, tenant: str, user: str, until: datetime | None) -> int:
        """Marks all read that were sent to the user and accepted no later than `until`; how many were unread."""
        ...

    async def abandoned(self, wanted: AbandonedFilter, limit: int) -> Sequence[str]:
        """The ids of up to `limit` FAILED ones, the oldest first; none that a former system had failed to send."""
        ...

    async def retry_abandoned(self, tenant: str, ids: Sequence[str]) -> int:
        """Those of them that are FAILED become PENDING and due now, with attempts from zero; how many. Of two calls at
        once one takes each up."""
        ...


class ReceiptStore(Protocol):
    """What providers have said of notifications."""

    async def apply(self, receipt: Receipt) -> tuple[Effect, Notification]:
        """Writes the receipt down and changes the notification by the rules of `domain.receipt`, in one transaction and
        after all that was committed before; changes of its status are told. The notification after it.

        Raises NotificationNotFound, VersionConflict, ReceiptEarly, IdempotencyConflict where the id is that of another
        receipt, and InvalidArgument for one that has not happened yet; then nothing is written.
        """
        ...


class EndpointStore(Protocol):
    """Addresses of users."""

    async def register(
        self, tenant: str, user: str, channel: ChannelName, address: str, secret: str
    ) -> tuple[Endpoint, datetime, bool]:
        """The address, when it was renewed, and whether it is new (a known one keeps its secret). A registration token
        moves from another user of the tenant: it is one device's, which has changed hands. Raises EndpointLimit."""
        ...

    async def page(self, tenant: str, user: str, *, limit: int, after: str) -> Sequence[tuple[Endpoint, datetime]]:
        """Up to `limit` addresses of the user by id, after an id."""
        ...

    async def rotate(
        self, tenant: str, user: str, id_: str, secret: str, overlap: timedelta, *, expected: int = 0
    ) -> tuple[Endpoint, datetime]:
        """Gives a webhook another secret; for `overlap` the one before signs as well. The answer has the new one, and
        when that was. Raises EndpointNotFound, NotSigned and VersionConflict."""
        ...

    async def delete(self, tenant: str, user: str, id_: str, *, expected: int = 0) -> bool:
        """False when there was none. Raises VersionConflict."""
        ...

    async def contacts(self, users: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Contacts]:
        """How users, given as (tenant, user), can be reached. Those of whom nothing is known are left out."""
        ...


@dataclass(frozen=True, slots=True)
class OwnPlan:
    """A plan of a user's own."""

    plan: Plan
    version: int


class PlanStore(Protocol):
    """Channel plans of users' own. Where another version stands than the `expected` one (0: any), VersionConflict is
    raised."""

    async def get(self, tenant: str, user: str, type_: Type) -> OwnPlan | None:
        """None where the tenant's counts."""
        ...

    async def set(self, tenant: str, user: str, type_: Type, plan: Plan, *, expected: int = 0) -> int:
        """In place of the one before; its version."""
        ...

    async def delete(self, tenant: str, user: str, type_: Type, *, expected: int = 0) -> bool:
        """False when there was none."""
        ...


class SubscriptionStore(Protocol):
    """Webhook subscriptions. Where another version stands than the `expected` one (0: any), VersionConflict is
    raised."""

    async def add(self, subscription: Subscription, prepare: Callable[[], Awaitable[None]]) -> Subscription:
        """Keeps it, after `prepare` has seen to it that events of its types are consumed; `when_unwanted` waits. Raises
        SubscriptionExists where another one of the URL has some of the types."""
        ...

    async def get(self, id_: str) -> Subscription:
        """Raises SubscriptionNotFound."""
        ...

    async def page(self, *, limit: int, after: str) -> Sequence[Subscription]:
        """Up to `limit` subscriptions by id, after an id."""
        ...

    async def enable(
        self, id_: str, prepare: Callable[[Sequence[str]], Awaitable[None]], *, expected: int = 0
    ) -> Subscription:
        """Enables it, after `prepare` has seen to its types as in `add`. Raises SubscriptionNotFound."""
        ...

    async def rotate(self, id_: str, secret: str, overlap: timedelta, *, expected: int = 0) -> Subscription:
        """Gives it another secret; for `overlap` the one before signs as well. The answer has the new one. Raises
        SubscriptionNotFound."""
        ...

    async def delete(self, id_: str, *, expected: int = 0) -> None:
        """Removes it with its waiting deliveries. Raises SubscriptionNotFound."""
        ...

    async def wanted_types(self) -> frozenset[str]:
        """The event types that an enabled subscription wants."""
        ...

    async def when_unwanted(self, event_type: str, act: Callable[[], Awaitable[None]]) -> bool:
        """Does `act` if nobody wants the type; nobody can begin to want one meanwhile."""
        ...

    async def fan_out(self, events: Sequence[PublicEvent]) -> Sequence[int]:
        """Makes each event due once, however often it comes, for each enabled subscription that wants its type and is
        no younger than it; how many those are, for each event. All in one transaction."""
        ...

    async def resend(self, event: PublicEvent, subscription: str) -> bool:
        """Makes an event due anew for a subscriber that it was given up for (nothing happens where it was not); False
        when the subscription wants it no more."""
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


class InvoiceStore(Protocol):
    """Invoices and their state machine."""

    async def register(self, event: str, debts: Sequence[Debt]) -> int:
        """Makes an invoice for each debt that has none, due now; how many. An event (its id) has its effect once."""
        ...

    async def retry_abandoned(self, debt: str) -> bool:
        """A FAILED invoice becomes due now, with attempts from zero; False when it is in another state, or unknown."""
        ...

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


class DeadLetterStore(Protocol):
    """The dead letters of all services, whoever may see them."""

    async def keep(self, letters: Sequence[DeadLetter]) -> int:
        """Keeps them OPEN; how many were not known by their names. One about what was tried a last time lately is
        ARCHIVED at once. All or none."""
        ...

    async def page(self, wanted: LetterFilter, *, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """Up to `limit` with lower numbers than `before`, newest first, without their payloads."""
        ...

    async def get(self, number: int) -> DeadLetter:
        """Raises DeadLetterNotFound."""
        ...

    async def find(self, wanted: LetterFilter, limit: int) -> Sequence[int]:
        """The numbers of up to `limit`, oldest first."""
        ...

    async def retry(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """Sends those of them that are OPEN or ARCHIVED, and whole, back to where they came from: RETRIED. The numbers
        of those sent back, perhaps not all where they are large. Each goes once, however many ask at once."""
        ...

    async def archive(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """Those of them that are OPEN become ARCHIVED; their numbers."""
        ...

    async def due(self, limit: int) -> Sequence[int]:
        """The numbers of up to `limit` OPEN ones whose last try is due."""
        ...

    async def open(self) -> Mapping[tuple[str, ReasonClass], int]:
        """How many are OPEN, by service and class."""
        ...


class AlertLog(Protocol):
    """What operators have been told of dead letters, shared by all replicas."""

    async def claim_alert(self) -> tuple[LetterAlert, frozenset[str]] | None:
        """What there is to tell, for a minute nobody else's, and by which ways it has been told already. None when
        there is nothing, or it is too early, or somebody is at it."""
        ...

    async def told(self, way: str) -> None:
        """The alert at hand has been told by this way."""
        ...

    async def complete_alert(self, alert: LetterAlert, pause: timedelta) -> None:
        """It has been told; the next one comes after `pause`."""
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

    def observe(self, handler: str, seconds: float, *, error: str = "") -> None:
        """One message has been handled: processed, or failed with the error."""
        ...

    def repeated(self, handler: str) -> None:
        """A message went once more although its receiver may have had it: a process had ended before it knew."""
        ...
