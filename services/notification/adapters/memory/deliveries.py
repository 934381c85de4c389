"""`DeliveryQueue` in memory: the same promises as the one on PostgreSQL."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from services.notification.adapters.memory.state import Delivery, KeptSubscription, Letter, Slot, State, User, key_of
from services.notification.application.claimed_delivery import Claimed, Claims, Completion, EventMessage
from services.notification.domain.delivery import Attempt, Outgoing
from services.notification.domain.notification import Notification, Status
from services.notification.domain.webhook import GONE, disabled


class InMemoryDeliveries:
    """The schedule in `state`. One task at a time is in here, so nothing is ever locked."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def claim(self, limit: int) -> Claims:
        """See DeliveryQueue."""
        state, now = self._state, self._state.now()
        waiting = [delivery for delivery in state.deliveries.values() if delivery.status is Status.PENDING]
        due = sorted((one for one in waiting if one.due <= now), key=lambda one: (one.due, one.id))[:limit]
        crashed = {one.id for one in due if one.lease}
        for (id_, _), slot in state.slots.items():
            if id_ in crashed and slot.at is None:
                slot.at = now  # it never reported, and may have been sent: it counts
        by_user: dict[User, list[Delivery]] = defaultdict(list)
        for one in due:
            if one.event is None:
                by_user[one.user].append(one)
        for group in by_user.values():
            group.sort(key=lambda one: not one.urgent)
        going = [one for one in due if one.event is not None]
        for user, group in by_user.items():
            free = state.limit.free(state.slots_of(user, now).taken)
            self._defer(user, group[free:], len(group[:free]), now)
            going += group[:free]
        if going:
            return Claims(tuple(take(state, going)), None)
        next_due = min((one.due for one in waiting), default=None)
        return Claims((), None if next_due is None else max(next_due - now, timedelta(0)))

    def _defer(self, user: User, late: Sequence[Delivery], going: int, now: datetime) -> None:
        """Who had a turn and lost it keeps a place in front, what is urgent takes one; new ones queue up behind all
        that wait."""
        slots = self._state.slots_of(user, now)
        back = [one for one in late if one.deferred or one.urgent]
        new = [one for one in late if not (one.deferred or one.urgent)]
        ahead = sum(
            1
            for one in self._state.deliveries.values()
            if one.event is None and one.user == user and one.deferred and not one.lease and one.due > now
        )
        for group, before in ((back, 0), (new, ahead + len(back))):
            turns = self._state.limit.turns(
                slots.completed, slots.under_way + going, now, count=len(group), ahead=before
            )
            for one, turn in zip(group, turns, strict=True):
                one.due, one.deferred, one.lease = turn, True, ""

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """See DeliveryQueue."""
        now = self._state.now()
        outcomes: list[Notification | None] = []
        held: list[Completion] = []
        for completion in completions:
            delivery = self._state.held(completion.claimed)
            outcomes.append(None if delivery is None else self._complete(completion, delivery, now))
            if delivery is not None:
                held.append(completion)
        self._judge_subscriptions(held, now)
        for completion in held:
            for id_ in completion.decision.gone:
                self._state.endpoints.pop((completion.claimed.tenant, id_), None)
        return outcomes

    def _complete(self, completion: Completion, delivery: Delivery, now: datetime) -> Notification | None:
        state, claimed, decision = self._state, completion.claimed, completion.decision
        history = completion.history(now)
        delivery.lease = ""
        delivery.attempts += 1
        if decision.wait is not None:
            delivery.due, delivery.deferred = now + decision.wait, False
            delivery.history, delivery.done = history, decision.done
        elif delivery.event is None:
            del state.deliveries[key_of(claimed)]
        else:
            # Events keep their row: its key is what makes a redelivered event harmless.
            delivery.status = completion.status
            if not decision.sent:
                state.letters.append(Letter(f"event/{claimed.reference}/{delivery.event.event_id}", history))
        if delivery.event is not None:
            return None
        if decision.reached:
            state.slots[claimed.id, claimed.lease].at = now
        else:
            del state.slots[claimed.id, claimed.lease]
        return self._change(completion, history, now)

    def _change(self, completion: Completion, history: tuple[Attempt, ...], now: datetime) -> Notification:
        state, claimed, decision = self._state, completion.claimed, completion.decision
        before = state.notifications[claimed.tenant, claimed.reference]
        after = replace(
            before,
            status=completion.status,
            attempts=before.attempts + 1,
            error=decision.failure.text if decision.failure else "",
            sent_at=now if decision.sent else before.sent_at,
            version=before.version + 1,
        )
        state.notifications[claimed.tenant, claimed.reference] = after
        if decision.wait is not None:
            return replace(after, next_attempt_at=now + decision.wait)
        state.told.append(after)
        if not decision.sent:
            state.letters.append(Letter(f"notification/{claimed.tenant}/{claimed.reference}", history))
        return after

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
        kept.subscription = replace(kept.subscription, enabled=False, disabled_reason=why)


def take(state: State, deliveries: Sequence[Delivery]) -> list[Claimed]:
    """Claims the deliveries for one process, with a slot for each notification."""
    lease = str(uuid4())
    for delivery in deliveries:
        delivery.lease, delivery.due = lease, state.now() + state.lease
        delivery.claims += 1
        if delivery.event is None:
            state.slots[delivery.id, lease] = Slot(delivery.user)
    return [_claimed(state, delivery) for delivery in deliveries]


def _claimed(state: State, delivery: Delivery) -> Claimed:
    blocked = None
    if delivery.event is not None:
        subscription = state.subscriptions[delivery.reference].subscription
        points = [subscription.endpoint(state.now())]
        blocked = None if subscription.enabled else disabled(subscription.disabled_reason)
    else:
        kept = [one.endpoint for one in state.endpoints.values() if one.user == delivery.user]
        points = sorted((one for one in kept if one.channel is delivery.channel), key=lambda one: one.id)
    return Claimed(
        id=delivery.id,
        lease=delivery.lease,
        tenant=delivery.user[0],
        reference=delivery.reference,
        channel=delivery.channel,
        message=delivery.event or _outgoing(state.notifications[delivery.user[0], delivery.reference]),
        endpoints=tuple(points),
        attempts=delivery.attempts,
        claims=delivery.claims,
        done=delivery.done,
        history=delivery.history,
        blocked=blocked,
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
        created_at=notification.created_at,
    )
