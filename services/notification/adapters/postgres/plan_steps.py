"""What follows when deliveries of a notification have ended, and others may go on: rare, beside one address that takes
it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.chassis.ids import new_id
from services.chassis.postgres import Connection
from services.notification.adapters.postgres.addresses import contacts_of
from services.notification.adapters.postgres.legs import INSERT_LEGS, LegRow, leg_values
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import NOBODY, Leg, Plan, Step, legs_from, load_plan
from services.notification.domain.lane import Priority
from services.notification.domain.notification import Notification, Status

LEGS_OF = """
    d.kind = 'NOTIFICATION' AND (d.id = n.id OR (d.reference = n.id AND d.id <> d.reference))
"""
"""Whether a delivery `d` is one of a notification `n`."""
_CALL_OFF = f"""
    DELETE FROM deliveries d USING unnest($1::uuid[]) AS n (id) WHERE {LEGS_OF} AND d.standby AND d.lease IS NULL
"""
_HURRY = f"""
    UPDATE deliveries d SET next_attempt_at = $2, standby = false
    FROM unnest($1::uuid[]) AS n (id) CROSS JOIN LATERAL (
        SELECT min(d.step) AS step, bool_and(d.standby) AS all_stand_by FROM deliveries d WHERE {LEGS_OF}
    ) AS left_over
    WHERE {LEGS_OF} AND left_over.all_stand_by AND d.step = left_over.step AND d.lease IS NULL
    RETURNING d.lane
"""
_ADVANCE = """
    UPDATE TENANT.notifications n SET legs = a.legs, step = a.step, channel = a.channel
    FROM unnest($1::uuid[], $2::integer[], $3::smallint[], $4::text[]) AS a (id, legs, step, channel)
    WHERE n.id = a.id
"""
_GIVE_UP = "UPDATE TENANT.notifications SET status = 'FAILED' WHERE id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A notification of which deliveries have ended (`ended`, perhaps none), and `legs` go on.

    `held`: nobody knows whether one of them has arrived, and a person is to decide. `vanished`: none was attempted, for
    its address was gone; the user may have another one.
    """

    notification: Notification
    legs: int
    plan: str
    step: int
    ended: int
    became_sent: bool
    priority: Priority
    held: bool
    vanished: bool

    @property
    def steps(self) -> Plan:
        """The plan in force."""
        return plan_of(self.plan, self.notification)


def plan_of(text: str, notification: Notification) -> Plan:
    """The plan that is kept with a notification; of one step where the channel was asked for."""
    return load_plan(text) if text else (Step(notification.channel),)


async def settle(connection: Connection, tenant: str, written: Sequence[Ended], now: datetime) -> list[Notification]:
    """Takes the next steps of plans, or gives notifications up; those that have changed by it."""
    if reached := [one.notification.id for one in written if one.became_sent and one.legs > 0]:
        await connection.execute(_CALL_OFF, reached)
    open_ = [one for one in written if one.notification.status is Status.PENDING and one.ended]
    if others := [one.notification.id for one in open_ if one.legs > 0]:
        await _announce(connection, [row["lane"] for row in await connection.fetch(_HURRY, others, now)])
    over = [one for one in open_ if one.legs <= 0]
    return await _next_steps(connection, tenant, over, now) if over else []


async def _next_steps(connection: Connection, tenant: str, over: Sequence[Ended], now: datetime) -> list[Notification]:
    contacts = await contacts_of(connection, tenant, sorted({one.notification.user for one in over}))
    going: list[Going] = []
    given_up: list[Notification] = []
    for one in over:
        known = contacts.get(one.notification.user, NOBODY)
        first = one.step if one.vanished else one.step + 1
        legs = () if one.held else legs_from(one.steps, first, known.addresses)
        if legs:
            going.append(Going(one.notification, one.priority, legs))
        else:
            given_up.append(one.notification)
    if given_up:
        await connection.execute(in_tenant(_GIVE_UP, tenant), [one.id for one in given_up])
    if going:
        await insert_legs(connection, tenant, going, now)
    return [
        *(replace(one, status=Status.FAILED) for one in given_up),
        *(replace(one.notification, channel=one.legs[0].channel, next_attempt_at=None) for one in going),
    ]


@dataclass(frozen=True, slots=True)
class Going:
    """A notification that goes on, by other legs."""

    notification: Notification
    priority: Priority
    legs: tuple[Leg, ...]


async def insert_legs(connection: Connection, tenant: str, going: Sequence[Going], now: datetime) -> None:
    """Makes the deliveries of the next steps of notifications, which have none."""
    made = [
        LegRow(
            id=new_id() if place else one.notification.id,
            notification=one.notification.id,
            user=one.notification.user,
            leg=leg,
            priority=one.priority,
            accepted=now,
        )
        for one in going
        for place, leg in enumerate(one.legs)
    ]
    await connection.execute(INSERT_LEGS, *leg_values(made), tenant, now)
    await connection.execute(
        in_tenant(_ADVANCE, tenant),
        [one.notification.id for one in going],
        [len(one.legs) for one in going],
        [max(leg.step for leg in one.legs) for one in going],
        [one.legs[0].channel for one in going],
    )
    await _announce(connection, [leg.channel for one in going for leg in one.legs])


async def _announce(connection: Connection, lanes: Sequence[str]) -> None:
    if lanes:
        await connection.execute(
            "SELECT pg_notify('notification_work', lane) FROM unnest($1::text[]) AS l (lane)", sorted(set(lanes))
        )
