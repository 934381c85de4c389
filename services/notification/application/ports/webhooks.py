"""Webhook subscriptions, and the public events that go to them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.notification.domain.notification import Status
from services.notification.domain.webhook import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicEvent:
    """A public event as it goes to subscribers: `body` is its CloudEvents JSON."""

    id: str
    type: str
    body: str
    published_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDelivery:
    """What has become of an event for a subscription, `at` when; `message` is about the last failure that another
    attempt followed."""

    event: str
    subscription: str
    url: str
    status: Status
    attempts: int
    at: datetime
    message: str


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

    async def deliveries(self, events: Sequence[str], limit: int) -> Sequence[EventDelivery]:
        """Up to `limit` deliveries of these events, by time, as long as they are kept."""
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
