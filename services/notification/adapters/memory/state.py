"""What the stores in memory share, as the ones on PostgreSQL share a database."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.chassis.ids import uuid7
from services.notification.application.claimed_delivery import Claimed, EventMessage
from services.notification.domain.channel_plan import Plan
from services.notification.domain.delivery import Endpoint
from services.notification.domain.lane import Lane, Priority
from services.notification.domain.notification import Attempt, Notification, Status, Type
from services.notification.domain.rate_limit import RateLimit, Slots
from services.notification.domain.webhook import Subscription

User = tuple[str, str]
"""Tenant and user."""
DeliveryKey = tuple[str, str]
"""The subscription and the event's id; of a notification the delivery's id, and nothing."""


def utc_now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What is to be delivered to one address. `status` is PENDING while it is; only events are kept after that."""

    id: str
    reference: str
    lane: Lane
    due: datetime
    receiver: str = ""
    user: User = ("", "")
    event: EventMessage | None = None
    endpoint: str = ""
    step: int = 0
    standby: bool = False
    priority: Priority = Priority.ALERT
    status: Status = Status.PENDING
    attempts: int = 0
    claims: int = 0
    at: datetime | None = None
    """Of an event: since when it is in its status."""
    lease: str = ""
    deferred: bool = False
    history: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """Where a notification stands in its plan."""

    plan: Plan
    step: int


@dataclass(slots=True)
class Slot:
    """A place in a user's rate limit, for what is attempted of a notification at one time; `at` is None while it is
    under way."""

    user: User
    notification: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """What an idempotency key was used for."""

    fingerprint: bytes
    notification: str
    created_at: datetime


@dataclass(slots=True)
class KeptEndpoint:
    """An address, whose it is, and when it was renewed."""

    user: User
    endpoint: Endpoint
    updated_at: datetime


@dataclass(slots=True)
class KeptSubscription:
    """A subscription, and since when there have been nothing but failures."""

    subscription: Subscription
    failing_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: what it is about, as its header names it, and the attempts."""

    about: str
    history: tuple[Attempt, ...]


@dataclass(slots=True, kw_only=True)
class State:
    """The rows. `told` and `letters` are what would leave through the outbox: status changes and dead letters."""

    now: Callable[[], datetime] = utc_now
    limit: RateLimit = field(default_factory=RateLimit)
    lease: timedelta = timedelta(seconds=30)
    disable_after: timedelta = timedelta(days=5)
    notifications: dict[tuple[str, str], Notification] = field(default_factory=dict[tuple[str, str], Notification])
    keys: dict[tuple[str, str], Key] = field(default_factory=dict[tuple[str, str], Key])
    endpoints: dict[tuple[str, str], KeptEndpoint] = field(default_factory=dict[tuple[str, str], KeptEndpoint])
    own_plans: dict[tuple[str, str], dict[Type, Plan]] = field(default_factory=dict[tuple[str, str], dict[Type, Plan]])
    """Of users: by tenant and user."""
    plans: dict[str, KeptPlan] = field(default_factory=dict[str, KeptPlan])
    """By notification."""
    subscriptions: dict[str, KeptSubscription] = field(default_factory=dict[str, KeptSubscription])
    deliveries: dict[DeliveryKey, Delivery] = field(default_factory=dict[DeliveryKey, Delivery])
    slots: dict[tuple[str, str], Slot] = field(default_factory=dict[tuple[str, str], Slot])
    """By delivery and lease."""
    told: list[Notification] = field(default_factory=list[Notification])
    letters: list[Letter] = field(default_factory=list[Letter])

    count: int = 0

    def new_id(self) -> str:
        """As those of PostgreSQL's rows, and each greater than those before."""
        self.count += 1
        return str(UUID(int=uuid7().int >> 80 << 80 | 0x7 << 76 | 0x2 << 62 | self.count))

    def slots_of(self, user: User, now: datetime) -> Slots:
        """What is taken of the user's limit."""
        groups: dict[tuple[str, str], list[datetime | None]] = defaultdict(list)
        for (_, lease), slot in self.slots.items():
            if slot.user == user:
                groups[slot.notification, lease].append(slot.at)
        completed = [max(at for at in times if at is not None) for times in groups.values() if None not in times]
        counting = tuple(at for at in completed if at > now - self.limit.period)
        return Slots(counting, sum(None in times for times in groups.values()))

    def legs_of(self, notification: str) -> list[Delivery]:
        """The deliveries of a notification that go on."""
        return [one for one in self.deliveries.values() if one.event is None and one.reference == notification]

    def held(self, claimed: Claimed) -> Delivery | None:
        """The delivery, if the lease still holds."""
        delivery = self.deliveries.get(key_of(claimed))
        ours = delivery is not None and (delivery.id, delivery.lease) == (claimed.id, claimed.lease)
        return delivery if ours else None


def key_of(claimed: Claimed) -> DeliveryKey:
    """The key of a claimed delivery."""
    message = claimed.message
    return (claimed.reference, message.event_id) if isinstance(message, EventMessage) else (claimed.id, "")
