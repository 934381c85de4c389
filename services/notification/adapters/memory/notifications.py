"""`NotificationStore` in memory: the same promises as the one on PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.chassis.errors import DomainError
from services.notification.adapters.memory.deliveries import take
from services.notification.adapters.memory.endpoints import contacts_of
from services.notification.adapters.memory.plan_steps import add_legs, go_on
from services.notification.adapters.memory.state import Delivery, KeptPlan, Key, State
from services.notification.application.places import Room, Tally
from services.notification.application.ports.notifications import (
    NO_ROOM,
    AbandonedFilter,
    Enqueued,
    NotificationFilter,
    Position,
)
from services.notification.domain.channel_plan import Route, legs_from, lost
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound, RateLimited, check_version
from services.notification.domain.lane import Lane, Priority, priority_of, priority_of_type
from services.notification.domain.notification import KEYS_LAST, Draft, Notification, Status
from services.notification.domain.statistics import Interval, Period, Statistics, counted


class InMemoryNotifications:
    """Notifications in `state`, by tenant and id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._events: set[str] = set()

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, Route]], *, rooms: Mapping[Lane, Room] = NO_ROOM
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore."""
        state, now = self._state, self._state.now()
        older = [one for one in state.deliveries.values() if one.status is Status.PENDING and not one.lease]
        behind = {(one.lane, one.user[0], one.receiver, one.priority) for one in older if one.due <= now}
        tallies = {lane: Tally(room) for lane, room in rooms.items()}

        def may_go(one: Delivery) -> bool:
            flow = (one.lane, one.user[0], one.receiver)
            return (
                not one.standby
                and one.lane in tallies
                and not any((*flow, before) in behind for before in Priority if before <= one.priority)
                and tallies[one.lane].take(one.receiver)
            )

        outcomes: list[Enqueued | DomainError] = []
        for draft, route in drafts:
            outcome = self._known(draft) or self._add(draft, route)
            free = state.limit.free(state.slots_of((draft.tenant, draft.user), now).taken)
            if free and isinstance(outcome, Enqueued) and not outcome.existing:
                going = [one for one in state.legs_of(outcome.notification.id) if may_go(one)]
                outcome = replace(outcome, claimed=tuple(take(state, going)))
            outcomes.append(outcome)
        return outcomes

    async def known(self, drafts: Sequence[Draft]) -> Sequence[Enqueued | DomainError | None]:
        """See NotificationStore."""
        return [self._known(draft) for draft in drafts]

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, Route]]) -> int:
        """See NotificationStore."""
        if event in self._events:
            return 0
        self._events.add(event)
        return sum(isinstance(one, Enqueued) and not one.existing for one in await self.enqueue(drafts))

    async def enqueue_claimed(self, draft: Draft, route: Route) -> Enqueued:
        """See NotificationStore."""
        state, now = self._state, self._state.now()
        known = self._known(draft)
        if isinstance(known, DomainError):
            raise known
        if known is not None:
            return known
        slots = state.slots_of((draft.tenant, draft.user), now)
        if not state.limit.free(slots.taken):
            wait = state.limit.frees_at(slots, now) - now
            raise RateLimited(draft.user, state.limit.limit, state.limit.period, wait)
        made = self._add(draft, route)
        going = [one for one in state.legs_of(made.notification.id) if not one.standby]
        return replace(made, claimed=tuple(take(state, going)))

    def _known(self, draft: Draft) -> Enqueued | IdempotencyConflict | None:
        used = self._state.keys.get((draft.tenant, draft.idempotency_key)) if draft.idempotency_key else None
        if used is None or used.created_at < self._state.now() - KEYS_LAST:
            return None
        if used.fingerprint != draft.fingerprint():
            return IdempotencyConflict(draft.idempotency_key)
        kept = self._read(self._state.notifications[draft.tenant, used.notification])
        return Enqueued(replace(kept, history=()), existing=True)

    def _add(self, draft: Draft, route: Route) -> Enqueued:
        state, now = self._state, self._state.now()
        notification = Notification(
            id=self._state.new_id(),
            tenant=draft.tenant,
            user=draft.user,
            type=draft.type,
            title=draft.title,
            body=draft.body,
            data=draft.data,
            link=draft.link,
            channel=route.channel,
            status=Status.PENDING,
            attempts=0,
            error="",
            created_at=now,
        )
        state.notifications[draft.tenant, notification.id] = notification
        if draft.idempotency_key:
            key = Key(draft.fingerprint(), notification.id, now)
            state.keys[draft.tenant, draft.idempotency_key] = key
        state.plans[notification.id] = KeptPlan(route.plan, route.step)
        add_legs(state, notification, route.legs, priority_of(draft))
        state.told.append(notification)
        return Enqueued(notification)

    async def get(self, tenant: str, id_: str) -> Notification:
        """See NotificationStore."""
        notification = self._state.notifications.get((tenant, id_))
        if notification is None:
            raise NotificationNotFound(metadata={"id": id_})
        return self._read(notification)

    def _read(self, notification: Notification) -> Notification:
        """With its next attempt, if it waits for one."""
        waiting = [one.due for one in self._state.legs_of(notification.id) if not one.lease and not one.standby]
        later = [due for due in waiting if due > notification.created_at]
        shown = notification.status is Status.PENDING and later
        return replace(notification, next_attempt_at=min(later) if shown else None)

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
            return [replace(one, body="", data="", history=()) for one in newest_first[:limit]]
        return [replace(self._read(one), history=()) for one in newest_first[:limit]]

    async def mark_read(self, tenant: str, id_: str, expected: int = 0, *, opened: bool = False) -> Notification:
        """See NotificationStore."""
        known = await self.get(tenant, id_)
        check_version(id_, expected, known.version)
        if known.read_at is None or (opened and known.opened_at is None):
            now, kept = self._state.now(), self._state.notifications[tenant, id_]
            self._state.notifications[tenant, id_] = replace(
                kept,
                read_at=kept.read_at or now,
                opened_at=kept.opened_at or (now if opened else None),
                version=kept.version + 1,
            )
        return replace(await self.get(tenant, id_), history=())

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
            plan = self._state.plans[after.id].plan
            addresses = contacts_of(self._state, (tenant, after.user)).addresses
            legs = legs_from(plan, 0, addresses) or lost(plan).legs
            go_on(self._state, after, legs, priority_of_type(after.type))
            self._state.told.append(after)
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
