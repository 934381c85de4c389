"""The next steps of plans, in memory."""

from collections.abc import Sequence
from dataclasses import replace

from services.notification.adapters.memory.endpoints import contacts_of
from services.notification.adapters.memory.state import Delivery, KeptPlan, State
from services.notification.application.claimed_delivery import Completion
from services.notification.domain.channel_plan import Leg, legs_from
from services.notification.domain.delivery import NO_ENDPOINT
from services.notification.domain.lane import Lane, Priority, receiver_of
from services.notification.domain.notification import Notification, Status


def add_legs(state: State, notification: Notification, legs: Sequence[Leg], priority: Priority) -> None:
    """Makes the deliveries of a notification that has none; the first has its id."""
    for place, leg in enumerate(legs):
        id_ = state.new_id() if place else notification.id
        state.deliveries[id_, ""] = Delivery(
            id=id_,
            reference=notification.id,
            lane=Lane(leg.channel),
            due=state.now() + leg.after,
            receiver="" if leg.endpoint is None else receiver_of(leg.channel, leg.endpoint.address),
            user=(notification.tenant, notification.user),
            endpoint=leg.endpoint.id if leg.endpoint else "",
            step=leg.step,
            standby=leg.standby,
            priority=priority,
        )


def go_on(state: State, notification: Notification, legs: Sequence[Leg], priority: Priority) -> None:
    """By these legs, in place of those that it had."""
    add_legs(state, notification, legs, priority)
    state.plans[notification.id] = replace(state.plans[notification.id], step=max(leg.step for leg in legs))
    key = notification.tenant, notification.id
    state.notifications[key] = replace(state.notifications[key], channel=legs[0].channel)


def settle(state: State, notification: Notification, group: Sequence[Completion]) -> Notification:
    """Takes the next step of the plan, or gives the notification up, where its deliveries have ended."""
    legs = state.legs_of(notification.id)
    ended = [one for one in group if one.decision.wait is None]
    if notification.status is Status.SENT:
        for leg in legs:
            if leg.standby and not leg.lease:
                del state.deliveries[leg.id, ""]
        return notification
    if not ended:
        return notification
    if legs:
        if all(leg.standby for leg in legs):
            _hurry(state, legs)
        return notification
    kept: KeptPlan = state.plans[notification.id]
    vanished = all(one.decision.failure == NO_ENDPOINT for one in ended)
    first = kept.step if vanished else kept.step + 1
    known = contacts_of(state, (notification.tenant, notification.user))
    held = any(one.decision.held for one in group)
    following = () if held else legs_from(kept.plan, first, known.addresses)
    key = notification.tenant, notification.id
    if following:
        go_on(state, notification, following, group[0].claimed.priority)
    else:
        state.notifications[key] = replace(notification, status=Status.FAILED)
    return state.notifications[key]


def _hurry(state: State, legs: Sequence[Delivery]) -> None:
    """The earliest of those that stand by go now."""
    first = min(leg.step for leg in legs)
    for leg in legs:
        if leg.step == first and not leg.lease:
            leg.due, leg.standby = state.now(), False
