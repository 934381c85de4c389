"""`DeliveryQueue` in memory: the same promises as the one on PostgreSQL."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from services.notification.adapters.memory.plan_steps import settle
from services.notification.adapters.memory.state import Delivery, KeptSubscription, Letter, Slot, State, User, key_of
from services.notification.application.claimed_delivery import Claimed, Claims, Completion, EventMessage
from services.notification.application.places import Room, Tally
from services.notification.domain.delivery import CONSOLE, Endpoint, Outgoing
from services.notification.domain.lane import Lane, Priority
from services.notification.domain.notification import HISTORY_LIMIT, ChannelName, Notification, Status
from services.notification.domain.webhook import GONE, disabled


class InMemoryDeliveries:
    """The schedule in `state`. One task at a time is in here, so nothing is ever locked."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def claim(self, room: Room) -> Claims:
        """See DeliveryQueue."""
        state, now = self._state, self._state.now()
        lane = [one for one in state.deliveries.values() if one.status is Status.PENDING and one.lane is room.lane]
        due = self._chosen([one for one in lane if one.due <= now], room)
        crashed = {one.id for one in due if one.lease}
        for (id_, _), slot in state.slots.items():
            if id_ in crashed and slot.at is None:
                slot.at = now  # it never reported, and may have been sent: it counts
        by_user: dict[User, list[Delivery]] = defaultdict(list)
        for one in due:
            if one.event is None:
                by_user[one.user].append(one)
        going = [one for one in due if one.event is not None]
        for user, group in by_user.items():
            order = list(dict.fromkeys(one.reference for one in group))
            first = set(order[: state.limit.free(state.slots_of(user, now).taken)])
            self._defer(user, [one for one in group if one.reference not in first], len(first), now)
            going += [one for one in group if one.reference in first]
        if going:
            return Claims(tuple(take(state, going, crashed)), None)
        tally = Tally(room)
        later = [one.due for one in lane if one.lease or tally.take(one.receiver)]
        return Claims((), max(min(later) - now, timedelta(0)) if later else None)

    @staticmethod
    def _chosen(due: Sequence[Delivery], room: Room) -> list[Delivery]:
        """As many as there is room for: tenants take turns, and of each what is urgent goes first, then by priority."""
        turns: Counter[str] = Counter()
        ranked: list[tuple[tuple[bool, int, Priority, datetime, str], Delivery]] = []
        tally = Tally(room)
        for one in sorted(due, key=lambda one: (one.priority, one.due, one.id)):
            turns[one.user[0]] += 1
            rank = one.priority > Priority.URGENT, turns[one.user[0]], one.priority, one.due, one.id
            ranked.append((rank, one))
        chosen = [one for _, one in sorted(ranked, key=lambda pair: pair[0]) if one.lease or tally.take(one.receiver)]
        return sorted(chosen[: room.places], key=lambda one: (one.priority, one.due, one.id))

    def _defer(self, user: User, late: Sequence[Delivery], going: int, now: datetime) -> None:
        """Who had a turn and lost it keeps a place in front, what is urgent takes one; new ones queue up behind all
        that wait. What goes to several addresses has one turn."""
        slots = self._state.slots_of(user, now)
        by_notification: dict[str, list[Delivery]] = defaultdict(list)
        for one in late:
            by_notification[one.reference].append(one)
        back = [legs for legs in by_notification.values() if any(map(_goes_in_front, legs))]
        new = [legs for legs in by_notification.values() if not any(map(_goes_in_front, legs))]
        ahead = {
            one.reference
            for one in self._state.deliveries.values()
            if one.event is None and one.user == user and one.deferred and not one.lease and one.due > now
        }
        for group, before in ((back, 0), (new, len(ahead) + len(back))):
            turns = self._state.limit.turns(
                slots.completed, slots.under_way + going, now, count=len(group), ahead=before
            )
            for legs, turn in zip(group, turns, strict=True):
                for one in legs:
                    one.due, one.deferred = turn, True

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """See DeliveryQueue."""
        now = self._state.now()
        held = [one for one in completions if self._state.held(one.claimed) is not None]
        for one in held:
            self._end(one, now)
        changed: dict[str, Notification] = {}
        by_notification: dict[str, list[Completion]] = defaultdict(list)
        for one in held:
            if isinstance(one.claimed.message, Outgoing):
                by_notification[one.claimed.reference].append(one)
        for id_, group in by_notification.items():
            changed[id_] = self._change(group, now)
        self._judge_subscriptions(held, now)
        for one in held:
            if one.decision.gone and (tried := one.claimed.endpoint) is not None:
                kept = self._state.endpoints.get((one.claimed.tenant, tried.id))
                if kept is not None and kept.endpoint.version == tried.version:
                    del self._state.endpoints[one.claimed.tenant, tried.id]
        return [changed.get(one.claimed.reference) if one in held else None for one in completions]

    def _end(self, completion: Completion, now: datetime) -> None:
        state, claimed, decision = self._state, completion.claimed, completion.decision
        delivery = state.deliveries[key_of(claimed)]
        delivery.lease = ""
        delivery.attempts += 1
        if delivery.event is None:
            if decision.reached:
                state.slots[claimed.id, claimed.lease].at = now
            else:
                del state.slots[claimed.id, claimed.lease]
        if decision.wait is not None:
            delivery.due, delivery.deferred = now + decision.wait, False
            delivery.history = completion.history(now) if delivery.event else ()
        elif delivery.event is None:
            del state.deliveries[key_of(claimed)]
        else:
            # Events keep their row: its key is what makes a redelivered event harmless.
            delivery.status, delivery.at = Status.SENT if decision.sent else Status.FAILED, now
            if not decision.sent:
                about = f"event/{claimed.reference}/{delivery.event.event_id}"
                state.letters.append(Letter(about, completion.history(now)))

    def _change(self, group: Sequence[Completion], now: datetime) -> Notification:
        state, first = self._state, group[0].claimed
        key = first.tenant, first.reference
        before = state.notifications[key]
        sent = next((one.claimed for one in group if one.decision.sent), None)
        failures = [one.decision.failure for one in group if one.decision.failure is not None]
        after = replace(
            before,
            attempts=before.attempts + len(group),
            error=failures[-1].text if failures else "",
            version=before.version + 1,
            history=(*before.history, *(one.attempt(now) for one in group))[-HISTORY_LIMIT:],
        )
        if sent is not None and before.status is not Status.SENT:
            after = replace(
                after,
                status=Status.SENT,
                sent_at=now,
                channel=sent.channel,
                address=sent.endpoint.shown if sent.endpoint else "",
            )
        state.notifications[key] = after
        after = settle(state, after, group)
        if after.status is not before.status:
            state.told.append(after)
            if after.status is Status.FAILED:
                failed = tuple(attempt for attempt in after.history if attempt.code)
                state.letters.append(Letter(f"notification/{first.tenant}/{first.reference}", failed))
        waits = [one.decision.wait for one in group if one.decision.wait is not None]
        pending = after.status is Status.PENDING and waits and len(waits) == len(group)
        return replace(after, next_attempt_at=now + min(waits)) if pending else after

    def _judge_subscriptions(self, held: Sequence[Completion], now: datetime) -> None:
        """One success among the outcomes that are written together outweighs the failures."""
        about = [s for s in held if isinstance(s.claimed.message, EventMessage) and s.claimed.blocked is None]
        well = {s.claimed.reference for s in about if s.decision.sent}
        gone = {s.claimed.reference for s in about if s.decision.gone}
        for id_ in {s.claimed.reference for s in about}:
            kept = self._state.subscriptions[id_]
            kept.failing_since = None if id_ in well else kept.failing_since or now
            if id_ in gone:
                _disable(kept, GONE)
            elif kept.failing_since is not None and kept.failing_since <= now - self._state.disable_after:
                _disable(kept, f"nothing but failures since {kept.failing_since:%Y-%m-%d %H:%M}")

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """See DeliveryQueue."""
        for claim in claimed:
            if (delivery := self._state.held(claim)) is not None:
                delivery.lease, delivery.due, delivery.claims = "", self._state.now(), delivery.claims - 1
                self._state.slots.pop((claim.id, claim.lease), None)


def _disable(kept: KeptSubscription, why: str) -> None:
    if kept.subscription.enabled:
        version = kept.subscription.version + 1
        kept.subscription = replace(kept.subscription, enabled=False, disabled_reason=why, version=version)


def _goes_in_front(delivery: Delivery) -> bool:
    return delivery.deferred or delivery.priority is Priority.URGENT


def take(state: State, deliveries: Sequence[Delivery], crashed: Collection[str] = ()) -> list[Claimed]:
    """Claims the deliveries for one process, with a slot for each that goes to a user."""
    lease = str(uuid4())
    for delivery in deliveries:
        delivery.lease, delivery.due, delivery.standby = lease, state.now() + state.lease, False
        delivery.claims += 1
        if delivery.event is None:
            state.slots[delivery.id, lease] = Slot(delivery.user, delivery.reference)
    return [_claimed(state, delivery, crashed=delivery.id in crashed) for delivery in deliveries]


def _claimed(state: State, delivery: Delivery, *, crashed: bool) -> Claimed:
    blocked = unknown = None
    if delivery.event is not None:
        subscription = state.subscriptions[delivery.reference].subscription
        point: Endpoint | None = subscription.endpoint(state.now())
        blocked = None if subscription.enabled else disabled(subscription.disabled_reason)
        unknown = subscription.unknown_outcome
    elif delivery.lane is Lane.CONSOLE:
        point = CONSOLE
    else:
        kept = state.endpoints.get((delivery.user[0], delivery.endpoint))
        point = kept.endpoint.at(state.now()) if kept is not None and kept.user == delivery.user else None
    return Claimed(
        id=delivery.id,
        lease=delivery.lease,
        lane=delivery.lane,
        receiver=delivery.receiver,
        tenant=delivery.user[0],
        reference=delivery.reference,
        channel=ChannelName.WEBHOOK if delivery.event else ChannelName(delivery.lane),
        message=delivery.event or _outgoing(state.notifications[delivery.user[0], delivery.reference]),
        endpoint=point,
        priority=delivery.priority,
        attempts=delivery.attempts,
        claims=delivery.claims,
        crashed=crashed,
        history=delivery.history,
        blocked=blocked,
        unknown=unknown,
    )


def _outgoing(notification: Notification) -> Outgoing:
    return Outgoing(
        id=notification.id,
        tenant=notification.tenant,
        user=notification.user,
        type=notification.type,
        title=notification.title,
        body=notification.body,
        data=notification.data,
        link=notification.link,
        created_at=notification.created_at,
    )
