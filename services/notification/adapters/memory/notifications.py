"""`NotificationStore` in memory: the same promises as the one on PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.errors import DomainError
from services.notification.adapters.memory.deliveries import take
from services.notification.adapters.memory.state import Delivery, Key, State
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.ports import AbandonedFilter, Enqueued, NotificationFilter, Position
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound, RateLimited, VersionConflict
from services.notification.domain.notification import KEYS_LAST, ChannelName, Draft, Notification, Status
from services.notification.domain.rate_limit import AHEAD
from services.notification.domain.statistics import Interval, Period, Statistics, counted


class InMemoryNotifications:
    """Notifications in `state`, by tenant and id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events: set[str] = set()

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, ChannelName]], *, claim: int = 0
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore."""
        state, now = self._state, self._state.now()
        if any(one.status is Status.PENDING and one.due <= now for one in state.deliveries.values()):
            claim = 0
        outcomes: list[Enqueued | DomainError] = []
        for draft, channel in drafts:
            outcome = self._known(draft) or self._add(draft, channel)
            free = state.limit.free(state.slots_of((draft.tenant, draft.user), now).taken)
            if claim and free and isinstance(outcome, Enqueued) and not outcome.existing:
                claim -= 1
                made = state.deliveries[outcome.notification.id, ""]
                outcome = replace(outcome, claimed=take(state, [made])[0])
            outcomes.append(outcome)
        return outcomes

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, ChannelName]]) -> int:
        """See NotificationStore."""
        if event in self._events:
            return 0
        self._events.add(event)
        return sum(isinstance(one, Enqueued) and not one.existing for one in await self.enqueue(drafts))

    async def enqueue_claimed(self, draft: Draft, channel: ChannelName) -> Enqueued | Claimed:
        """See NotificationStore."""
        state, now = self._state, self._state.now()
        known = self._known(draft)
        if isinstance(known, DomainError):
            raise known
        if known is not None:
            return known
        slots = state.slots_of((draft.tenant, draft.user), now)
        if not state.limit.free(slots.taken):
            turn = state.limit.turns(slots.completed, slots.under_way, now, count=1)[0]
            raise RateLimited(draft.user, state.limit.limit, state.limit.period, turn - now)
        made = self._add(draft, channel).notification
        return take(state, [state.deliveries[made.id, ""]])[0]

    def _known(self, draft: Draft) -> Enqueued | IdempotencyConflict | None:
        used = self._state.keys.get((draft.tenant, draft.idempotency_key)) if draft.idempotency_key else None
        if used is None or used.created_at < self._state.now() - KEYS_LAST:
            return None
        if used.fingerprint != draft.fingerprint():
            return IdempotencyConflict(draft.idempotency_key)
        return Enqueued(self._read(self._state.notifications[draft.tenant, used.notification]), existing=True)

    def _add(self, draft: Draft, channel: ChannelName) -> Enqueued:
        state, now = self._state, self._state.now()
        notification = Notification(
            id=self._state.new_id(),
            tenant=draft.tenant,
            user=draft.user,
            type=draft.type,
            title=draft.title,
            body=draft.body,
            data=draft.data,
            channel=channel,
            status=Status.PENDING,
            attempts=0,
            error="",
            created_at=now,
        )
        state.notifications[draft.tenant, notification.id] = notification
        if draft.idempotency_key:
            key = Key(draft.fingerprint(), notification.id, now)
            state.keys[draft.tenant, draft.idempotency_key] = key
        self._schedule(notification, urgent=draft.urgent)
        return Enqueued(notification)

    def _schedule(self, notification: Notification, *, urgent: bool = False) -> None:
        self._state.deliveries[notification.id, ""] = Delivery(
            id=self._state.new_id(),
            reference=notification.id,
            channel=notification.channel,
            due=self._state.now() - AHEAD if urgent else self._state.now(),
            user=(notification.tenant, notification.user),
            urgent=urgent,
        )
        self._state.told.append(notification)

    async def get(self, tenant: str, id_: str) -> Notification:
        """See NotificationStore."""
        notification = self._state.notifications.get((tenant, id_))
        if notification is None:
            raise NotificationNotFound(metadata={"id": id_})
        return self._read(notification)

    def _read(self, notification: Notification) -> Notification:
        """With its next attempt, if it waits for one."""
        delivery = self._state.deliveries.get((notification.id, ""))
        waits = delivery is not None and not delivery.lease and delivery.due > notification.created_at
        return replace(notification, next_attempt_at=delivery.due if delivery is not None and waits else None)

    async def page(self, wanted: NotificationFilter, *, limit: int, after: Position | None) -> Sequence[Notification]:
        """See NotificationStore."""
        found = [
            one
            for one in self._state.notifications.values()
            if one.tenant == wanted.tenant
            and (not wanted.user or one.user == wanted.user)
            and (wanted.status is None or one.status is wanted.status)
            and (not wanted.unread or (one.status is Status.SENT and one.read_at is None))
            and _within(one, wanted.since, wanted.until)
            and (after is None or (one.created_at, one.id) < after)
        ]
        newest_first = sorted(found, key=lambda one: (one.created_at, one.id), reverse=True)
        if wanted.basic:
            return [replace(one, body="", data="") for one in newest_first[:limit]]
        return [self._read(one) for one in newest_first[:limit]]

    async def mark_read(self, tenant: str, id_: str, expected: int = 0, *, opened: bool = False) -> Notification:
        """See NotificationStore."""
        known = await self.get(tenant, id_)
        if expected not in (0, known.version):
            raise VersionConflict(id_, expected, known.version)
        if known.read_at is None or (opened and known.opened_at is None):
            now, kept = self._state.now(), self._state.notifications[tenant, id_]
            self._state.notifications[tenant, id_] = replace(
                kept,
                read_at=kept.read_at or now,
                opened_at=kept.opened_at or (now if opened else None),
                version=kept.version + 1,
            )
        return await self.get(tenant, id_)

    async def mark_all_read(self, tenant: str, user: str, until: datetime | None) -> int:
        """See NotificationStore."""
        unread = [
            one
            for one in self._state.notifications.values()
            if (one.tenant, one.user, one.status, one.read_at) == (tenant, user, Status.SENT, None)
            and one.created_at <= (until or self._state.now())
        ]
        for one in unread:
            await self.mark_read(tenant, one.id)
        return len(unread)

    async def abandoned(self, wanted: AbandonedFilter, limit: int) -> Sequence[str]:
        """See NotificationStore."""
        found = [
            one
            for one in self._state.notifications.values()
            if (one.tenant, one.status) == (wanted.tenant, Status.FAILED)
            and (not wanted.user or one.user == wanted.user)
            and (wanted.type is None or one.type is wanted.type)
            and (wanted.channel is None or one.channel is wanted.channel)
            and _within(one, wanted.since, wanted.until)
        ]
        return [one.id for one in sorted(found, key=lambda one: (one.created_at, one.id))[:limit]]

    async def retry_abandoned(self, tenant: str, ids: Sequence[str]) -> int:
        """See NotificationStore."""
        found = [self._state.notifications.get((tenant, id_)) for id_ in sorted(set(ids))]
        failed = [one for one in found if one is not None and one.status is Status.FAILED]
        for before in failed:
            after = replace(before, status=Status.PENDING, version=before.version + 1)
            self._state.notifications[tenant, before.id] = after
            self._schedule(after)
        return len(failed)

    async def statistics(self, tenant: str, period: Period, interval: Interval | None) -> Statistics:
        """See NotificationCounts."""
        there = [
            one
            for one in self._state.notifications.values()
            if one.tenant == tenant and period.since <= one.created_at < period.until
        ]
        points: dict[datetime, list[Notification]] = {}
        if interval is not None:
            for one in there:
                points.setdefault(_start(one.created_at, interval), []).append(one)
        series = tuple((start, counted(points[start])) for start in sorted(points))
        return Statistics(counted(there), series)


def _within(one: Notification, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or one.created_at >= since) and (until is None or one.created_at < until)


def _start(at: datetime, interval: Interval) -> datetime:
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % interval.value
