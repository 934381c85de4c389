"""The schedule of deliveries, and what delivers."""

from collections.abc import Sequence
from typing import Protocol

from services.notification.application.claimed_delivery import Claimed, Claims, Completion, EventMessage
from services.notification.application.places import Room
from services.notification.domain.delivery import Endpoint, Outcome, Outgoing
from services.notification.domain.notification import Notification


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


class Channel(Protocol):
    """A way to a person or a system. Delivery problems are outcomes; an exception is a defect."""

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt at one address, bounded in time."""
        ...


class Meter(Protocol):
    """Measures handlers."""

    def observe(self, handler: str, seconds: float, *, error: str = "") -> None:
        """One message has been handled: processed, or failed with the error."""
        ...

    def repeated(self, handler: str) -> None:
        """A message went once more although its receiver may have had it: a process had ended before it knew."""
        ...
