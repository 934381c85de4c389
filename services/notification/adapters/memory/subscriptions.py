"""`SubscriptionStore` in memory: the same promises as the one on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from services.notification.adapters.memory.state import Delivery, KeptSubscription, State
from services.notification.application.claimed_delivery import EventMessage
from services.notification.application.ports.webhooks import EventDelivery, PublicEvent
from services.notification.domain.errors import SubscriptionExists, SubscriptionNotFound, check_version
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
            for kept in self._state.subscriptions.values():
                known = kept.subscription
                if known.url == subscription.url and set(known.event_types) & set(subscription.event_types):
                    raise SubscriptionExists(known.id, known.url)
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

    async def enable(
        self, id_: str, prepare: Callable[[Sequence[str]], Awaitable[None]], *, expected: int = 0
    ) -> Subscription:
        """See SubscriptionStore."""
        async with self._types:
            kept = await self._checked(id_, expected)
            await prepare(kept.subscription.event_types)
            before = kept.subscription
            version = before.version + (not before.enabled)
            kept.subscription = replace(before, enabled=True, disabled_reason="", version=version)
            kept.failing_since = None
        return _without_secret(kept)

    async def _checked(self, id_: str, expected: int) -> KeptSubscription:
        check_version(id_, expected, (await self.get(id_)).version)
        return self._state.subscriptions[id_]

    async def rotate(self, id_: str, secret: str, overlap: timedelta, *, expected: int = 0) -> Subscription:
        """See SubscriptionStore."""
        kept = await self._checked(id_, expected)
        kept.subscription = replace(
            kept.subscription,
            secret=secret,
            former_secret=kept.subscription.secret,
            former_secret_until=self._state.now() + overlap,
            version=kept.subscription.version + 1,
        )
        return replace(kept.subscription, former_secret="")

    async def delete(self, id_: str, *, expected: int = 0) -> None:
        """See SubscriptionStore."""
        await self._checked(id_, expected)
        del self._state.subscriptions[id_]
        for key in [key for key in self._state.deliveries if key[0] == id_]:
            del self._state.deliveries[key]

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

    async def deliveries(self, events: Sequence[str], limit: int) -> Sequence[EventDelivery]:
        """See SubscriptionStore."""
        found = [
            EventDelivery(
                event=event,
                subscription=subscription,
                url=self._state.subscriptions[subscription].subscription.url,
                status=delivery.status,
                attempts=delivery.attempts,
                at=delivery.at,
                message=delivery.history[-1].message if delivery.history else "",
            )
            for (subscription, event), delivery in self._state.deliveries.items()
            if event in events and subscription in self._state.subscriptions and delivery.at is not None
        ]
        return sorted(found, key=lambda one: (one.at, one.event))[:limit]

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
            at=self._state.now(),
            due=self._state.now(),
            event=EventMessage(id=id_, event_id=event.id, type=event.type, body=event.body),
        )


def _wants(kept: KeptSubscription, event: PublicEvent) -> bool:
    return kept.subscription.enabled and event.type in kept.subscription.event_types


def _without_secret(kept: KeptSubscription) -> Subscription:
    return replace(kept.subscription, secret="", former_secret="")
