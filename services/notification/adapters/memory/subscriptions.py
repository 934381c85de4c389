"""`SubscriptionStore` in memory: the same promises as the one on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from services.notification.adapters.memory.state import Delivery, KeptSubscription, State
from services.notification.application.claimed_delivery import EventMessage
from services.notification.application.ports import PublicEvent
from services.notification.domain.errors import SubscriptionNotFound
from services.notification.domain.lane import Lane
from services.notification.domain.notification import Status
from services.notification.domain.webhook import CLOCK_TOLERANCE, Subscription


class InMemorySubscriptions:
    """Subscriptions in `state`, by id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._types = asyncio.Lock()

    async def add(self, subscription: Subscription, prepare: Callable[[], Awaitable[None]]) -> Subscription:
        """See SubscriptionStore."""
        async with self._types:
            await prepare()
            made = replace(subscription, created_at=self._state.now())
            self._state.subscriptions[made.id] = KeptSubscription(made)
        return made

    async def get(self, id_: str) -> Subscription:
        """See SubscriptionStore."""
        kept = self._state.subscriptions.get(id_)
        if kept is None:
            raise SubscriptionNotFound(metadata={"id": id_})
        return _without_secret(kept)

    async def page(self, *, limit: int, after: str) -> Sequence[Subscription]:
        """See SubscriptionStore."""
        found = sorted(self._state.subscriptions.items())
        return [_without_secret(kept) for id_, kept in found if id_ > after][:limit]

    async def enable(self, id_: str, prepare: Callable[[Sequence[str]], Awaitable[None]]) -> Subscription:
        """See SubscriptionStore."""
        async with self._types:
            await prepare((await self.get(id_)).event_types)
            kept = self._state.subscriptions[id_]
            kept.subscription = replace(kept.subscription, enabled=True, disabled_reason="")
            kept.failing_since = None
        return _without_secret(kept)

    async def rotate(self, id_: str, secret: str, overlap: timedelta) -> Subscription:
        """See SubscriptionStore."""
        await self.get(id_)
        kept = self._state.subscriptions[id_]
        kept.subscription = replace(
            kept.subscription,
            secret=secret,
            former_secret=kept.subscription.secret,
            former_secret_until=self._state.now() + overlap,
        )
        return replace(kept.subscription, former_secret="")

    async def delete(self, id_: str) -> bool:
        """See SubscriptionStore."""
        if self._state.subscriptions.pop(id_, None) is None:
            return False
        for key in [key for key in self._state.deliveries if key[0] == id_]:
            del self._state.deliveries[key]
        return True

    async def wanted_types(self) -> frozenset[str]:
        """See SubscriptionStore."""
        kept = [one.subscription for one in self._state.subscriptions.values()]
        return frozenset(name for one in kept if one.enabled for name in one.event_types)

    async def when_unwanted(self, event_type: str, act: Callable[[], Awaitable[None]]) -> bool:
        """See SubscriptionStore."""
        async with self._types:
            if event_type in await self.wanted_types():
                return False
            await act()
        return True

    async def fan_out(self, events: Sequence[PublicEvent]) -> Sequence[int]:
        """See SubscriptionStore."""
        counts: list[int] = []
        for event in events:
            wanting = [
                kept.subscription.id
                for kept in self._state.subscriptions.values()
                if _wants(kept, event) and event.published_at > kept.subscription.created_at - CLOCK_TOLERANCE
            ]
            for id_ in wanting:
                if (id_, event.id) not in self._state.deliveries:
                    self._schedule(event, id_, self._state.new_id())
            counts.append(len(wanting))
        return counts

    async def resend(self, event: PublicEvent, subscription: str) -> bool:
        """See SubscriptionStore."""
        kept = self._state.subscriptions.get(subscription)
        if kept is None or not _wants(kept, event):
            return False
        known = self._state.deliveries.get((subscription, event.id))
        if known is None or known.status is Status.FAILED:
            self._schedule(event, subscription, known.id if known else self._state.new_id())
        return True

    def _schedule(self, event: PublicEvent, subscription: str, id_: str) -> None:
        self._state.deliveries[subscription, event.id] = Delivery(
            id=id_,
            reference=subscription,
            lane=Lane.EVENT,
            receiver=subscription,
            due=self._state.now(),
            event=EventMessage(id=id_, event_id=event.id, type=event.type, body=event.body),
        )


def _wants(kept: KeptSubscription, event: PublicEvent) -> bool:
    return kept.subscription.enabled and event.type in kept.subscription.event_types


def _without_secret(kept: KeptSubscription) -> Subscription:
    return replace(kept.subscription, secret="", former_secret="")
