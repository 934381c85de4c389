"""Claims deliveries that are due: one transaction for many, safe beside other replicas."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.claimable import FlowWalk, Record
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rate_limit import User
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed, Claims, EventMessage
from services.notification.application.places import Room
from services.notification.domain.delivery import CONSOLE, Endpoint, Failure, Outgoing
from services.notification.domain.lane import Lane, Priority
from services.notification.domain.notification import ChannelName, Type
from services.notification.domain.rate_limit import RateLimit, Slots
from services.notification.domain.webhook import Subscription, disabled

# Rows are read in the order of an index alone: what the planner knows of the deliveries is often of a time when there
# were none, and to gather and sort them looks as cheap to it then as to read the first.
_BEGIN = """
    SELECT clock_timestamp() AS now, set_config('enable_seqscan', 'off', true),
        set_config('enable_bitmapscan', 'off', true)
"""
_CONTENT = """
    SELECT n.id::text AS id, n.recipient, n.type, n.title, n.body, n.data::text AS data, n.link, n.created_at,
        e.id::text AS endpoint, e.channel, e.address, e.secret, e.former_secret, e.former_secret_until, e.version
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS t (notification, endpoint, place)
    JOIN TENANT.notifications n ON n.id = t.notification
    LEFT JOIN TENANT.endpoints e ON e.id = t.endpoint AND e.recipient = n.recipient
    ORDER BY t.place
"""
_TAKE = """
    WITH taken AS (
        UPDATE deliveries SET lease = $2::uuid, next_attempt_at = $3, claims = claims + 1, standby = false
        WHERE id = ANY($1::uuid[]) RETURNING id, kind, tenant, recipient, reference
    )
    INSERT INTO rate_slots (delivery, lease, tenant, recipient, notification)
    SELECT id, $2::uuid, tenant, recipient, reference FROM taken WHERE kind = 'NOTIFICATION'
"""


class Claimer:
    """Claims within the rate limit; leases end `lease` after the claim."""

    def __init__(self, database: Database, clock: Clock, limit: RateLimit, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._lease = lease
        self._walk = FlowWalk()

    async def claim(self, room: Room) -> Claims:
        """See DeliveryQueue.claim."""
        lease = str(uuid4())
        async with self._database.transaction() as connection:
            begun = await connection.fetchrow(_BEGIN)
            assert begun is not None
            now = self._clock.at(begun["now"])
            due = await self._walk.next(connection, room, now)
            taken = await self._select(connection, due.rows, now) if due.rows else []
            if not taken:
                return Claims((), None if due.next_due is None else max(due.next_due - now, timedelta(0)))
            await connection.execute(_TAKE, [row["id"] for row in taken], lease, now + self._lease)
            # Before the commit: what cannot be attempted is not claimed.
            return Claims(tuple(await _load(connection, room.lane, taken, lease, now)), None)

    async def _select(self, connection: Connection, due: Sequence[Record], now: datetime) -> list[Record]:
        """Those of the due that may go now. The others of their users get their turns; those of users that another
        replica is busy with stay due."""
        by_user: dict[User, list[Record]] = defaultdict(list)
        for row in due:
            if row["kind"] == "NOTIFICATION":
                by_user[row["tenant"], row["recipient"]].append(row)
        if crashed := [(row["id"], user) for user, group in by_user.items() for row in group if row["crashed"]]:
            await rate_limit.crashed(connection, crashed, now)
        chosen = [row for row in due if row["kind"] == "EVENT"]
        if not by_user:
            return chosen
        locked, _ = await rate_limit.try_lock(connection, list(by_user))
        ours = sorted(locked)
        slots = await rate_limit.slots(connection, ours, self._limit, now)
        over: dict[User, list[Record]] = {}
        going: dict[User, int] = {}
        for user in ours:
            # What goes to several addresses of a user at one time counts once.
            order = list(dict.fromkeys(row["reference"] for row in by_user[user]))
            first = set(order[: self._limit.free(slots[user].taken)])
            going[user] = len(first)
            chosen += [row for row in by_user[user] if row["reference"] in first]
            if late := [row for row in by_user[user] if row["reference"] not in first]:
                over[user] = late
        if over:
            await self._defer(connection, over, slots, now, going)
        return chosen

    async def _defer(
        self,
        connection: Connection,
        over: Mapping[User, Sequence[Record]],
        slots: Mapping[User, Slots],
        now: datetime,
        going: Mapping[User, int],
    ) -> None:
        ahead = await self._waiting(connection, list(over), now)
        ids: list[str] = []
        turns: list[datetime] = []
        for user, late in over.items():
            under_way = slots[user].under_way + going[user]
            by_notification: dict[str, list[Record]] = defaultdict(list)
            for row in late:
                by_notification[row["reference"]].append(row)
            # Who had a turn and lost it to a call that did not wait keeps a place in front, and what is urgent takes
            # one; new ones queue up behind.
            back = [legs for legs in by_notification.values() if any(map(_goes_in_front, legs))]
            new = [legs for legs in by_notification.values() if not any(map(_goes_in_front, legs))]
            for group, before in ((back, 0), (new, ahead.get(user, 0) + len(back))):
                given = self._limit.turns(slots[user].completed, under_way, now, count=len(group), ahead=before)
                for legs, turn in zip(group, given, strict=True):
                    ids += [row["id"] for row in legs]
                    turns += [turn] * len(legs)
        # The lease of an attempt that never reported stays: whoever has the turn must know that it may be a repeat.
        await connection.execute(
            """
            UPDATE deliveries d SET next_attempt_at = t.at, deferred = true
            FROM unnest($1::uuid[], $2::timestamptz[]) AS t (id, at) WHERE d.id = t.id
            """,
            ids,
            turns,
        )

    @staticmethod
    async def _waiting(connection: Connection, users: Sequence[User], now: datetime) -> dict[User, int]:
        found = await connection.fetch(
            """
            SELECT d.tenant, d.recipient, count(DISTINCT d.reference) AS waiting
            FROM unnest($1::text[], $2::text[]) AS u (tenant, recipient)
            JOIN deliveries d ON d.tenant = u.tenant AND d.recipient = u.recipient
            WHERE d.state = 'OPEN' AND d.kind = 'NOTIFICATION' AND d.deferred AND d.lease IS NULL
                AND d.next_attempt_at > $3
            GROUP BY d.tenant, d.recipient
            """,
            [tenant for tenant, _ in users],
            [recipient for _, recipient in users],
            now,
        )
        return {(row["tenant"], row["recipient"]): row["waiting"] for row in found}


def _goes_in_front(row: Record) -> bool:
    return row["deferred"] or row["priority"] == Priority.URGENT


async def _load(
    connection: Connection, lane: Lane, taken: Sequence[Record], lease: str, now: datetime
) -> list[Claimed]:
    """The claimed deliveries with all that an attempt needs, in their order."""
    if lane is Lane.EVENT:
        return await _load_events(connection, taken, lease, now)
    by_tenant: dict[str, list[Record]] = defaultdict(list)
    for row in taken:
        by_tenant[row["tenant"]].append(row)
    loaded: dict[str, Claimed] = {}
    for tenant, group in by_tenant.items():
        loaded |= {one.id: one for one in await _load_notifications(connection, lane, tenant, group, lease, now)}
    return [loaded[row["id"]] for row in taken]


async def _load_notifications(
    connection: Connection, lane: Lane, tenant: str, taken: Sequence[Record], lease: str, now: datetime
) -> list[Claimed]:
    contents = await connection.fetch(
        in_tenant(_CONTENT, tenant), [row["reference"] for row in taken], [row["endpoint"] for row in taken]
    )
    return [
        Claimed(
            id=row["id"],
            lease=lease,
            lane=lane,
            receiver=row["receiver"],
            tenant=tenant,
            reference=row["reference"],
            channel=ChannelName(row["channel"]),
            message=_outgoing(content, tenant),
            endpoint=CONSOLE if lane is Lane.CONSOLE else _address(content, now),
            priority=Priority(row["priority"]),
            **_progress(row),
        )
        for row, content in zip(taken, contents, strict=True)
    ]


def _address(row: Record, now: datetime) -> Endpoint | None:
    return None if row["endpoint"] is None else rows.endpoint(row, id_column="endpoint").at(now)


def _outgoing(row: Record, tenant: str) -> Outgoing:
    return Outgoing(
        id=row["id"],
        tenant=tenant,
        user=row["recipient"],
        type=Type(row["type"]),
        title=row["title"],
        body=row["body"],
        data=row["data"] or "",
        link=row["link"],
        created_at=row["created_at"],
    )


async def _load_events(connection: Connection, taken: Sequence[Record], lease: str, now: datetime) -> list[Claimed]:
    found = await connection.fetch(
        f"SELECT {rows.SUBSCRIPTION_COLUMNS}, s.secret, s.former_secret FROM webhook_subscriptions s "
        "WHERE s.id = ANY($1::uuid[])",
        list({row["reference"] for row in taken}),
    )
    subscriptions = {
        row["id"]: replace(rows.subscription(row), secret=row["secret"], former_secret=row["former_secret"])
        for row in found
    }
    claimed: list[Claimed] = []
    for row in taken:
        subscription = subscriptions.get(row["reference"])
        claimed.append(
            Claimed(
                id=row["id"],
                lease=lease,
                lane=Lane.EVENT,
                receiver=row["receiver"],
                tenant="",
                reference=row["reference"],
                channel=ChannelName.WEBHOOK,
                message=EventMessage(
                    id=row["id"], event_id=row["event_id"], type=row["event_type"], body=row["body"] or ""
                ),
                endpoint=None if subscription is None else subscription.endpoint(now),
                blocked=_blocked(subscription),
                unknown=None if subscription is None else subscription.unknown_outcome,
                history=rows.load_history(row["history"]),
                **_progress(row),
            )
        )
    return claimed


def _blocked(subscription: Subscription | None) -> Failure | None:
    if subscription is not None and subscription.enabled:
        return None
    return disabled("the subscription was deleted" if subscription is None else subscription.disabled_reason)


def _progress(row: Record) -> dict[str, Any]:
    return {
        "attempts": row["attempts"],
        "claims": row["claims"] + 1,
        "crashed": row["crashed"],
    }
