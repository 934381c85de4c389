"""Notifications of all tenants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.chassis.errors import DomainError
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.places import Room
from services.notification.domain.channel_plan import Route
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, Type


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
