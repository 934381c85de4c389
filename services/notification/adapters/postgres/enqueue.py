"""Makes notifications durable: the notification, its idempotency key, its place in the schedule and the event.

Who accepts may claim at once what it has room for: such a delivery is written once, with its lease and its slot, and no
claim of its own follows.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database, Outbox, first_time
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rate_limit
from services.notification.adapters.postgres.accepted import New
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.idempotency import claim_keys, known_drafts
from services.notification.adapters.postgres.legs import LEG_COLUMNS, LegRow, leg_arrays, leg_values
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.places import Room, Tally
from services.notification.application.ports.notifications import Enqueued
from services.notification.domain.channel_plan import Route, dump_plan
from services.notification.domain.delivery import Outgoing
from services.notification.domain.errors import RateLimited
from services.notification.domain.lane import Lane
from services.notification.domain.notification import Draft
from services.notification.domain.rate_limit import RateLimit

_CONSUMER = "alarm_notices"
"""Whose marks in the inbox say which events have had their notifications."""

_OLDER_WORK = """
    SELECT place FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[]) WITH ORDINALITY
        AS w (lane, tenant, receiver, priority, place)
    WHERE EXISTS (
        SELECT FROM generate_series(0, w.priority) AS p CROSS JOIN LATERAL (
            SELECT FROM deliveries d WHERE d.state = 'OPEN' AND d.lease IS NULL AND d.lane = w.lane
                AND d.tenant = w.tenant AND d.receiver = w.receiver AND d.priority = p AND d.next_attempt_at <= $5
            LIMIT 1
        ) AS older
    )
"""
_INSERT = f"""
    WITH new AS (
        SELECT * FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::integer[], $10::smallint[], $11::text[]
        ) AS n (id, recipient, type, title, body, data, channel, plan, legs, step, link)
    ), legs AS (
        SELECT * FROM unnest({leg_arrays(12)}, $22::boolean[]) AS l ({LEG_COLUMNS}, claimed)
    ), kept AS (
        INSERT INTO TENANT.notifications
            (id, recipient, type, title, body, data, channel, plan, legs, step, link, created_at)
        SELECT id, recipient, type, title, body, data::json, channel, plan, legs, step, link, $23::timestamptz FROM new
    ), slots AS (
        INSERT INTO rate_slots (delivery, lease, tenant, recipient, notification)
        SELECT id, $25::uuid, $24::text, recipient, reference FROM legs WHERE claimed
    ), scheduled AS (
        INSERT INTO deliveries
            (id, kind, tenant, recipient, channel, endpoint, receiver, priority, step, standby, reference, created_at,
            next_attempt_at, lease, claims)
        SELECT id, 'NOTIFICATION', $24, recipient, channel, endpoint, receiver, priority, step, standby, reference, $23,
            CASE WHEN claimed THEN $26::timestamptz ELSE due END, CASE WHEN claimed THEN $25::uuid END, claimed::integer
        FROM legs
    )
    SELECT pg_notify('notification_work', w.lane)
    FROM (SELECT DISTINCT channel AS lane FROM legs WHERE NOT claimed) AS w
"""


class Enqueuer:
    """Accepts notifications, alone or many at once."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, limit: RateLimit, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._limit = limit
        self._lease = lease

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, Route]], *, rooms: Mapping[Lane, Room]
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore.enqueue."""
        if not drafts:
            return []
        async with self._database.transaction() as connection:
            return await self._enqueue(connection, drafts, rooms)

    async def enqueue_within(
        self, connection: Connection, drafts: Sequence[tuple[Draft, Route]]
    ) -> Sequence[Enqueued | DomainError]:
        """Like `enqueue`, as a part of the caller's transaction."""
        return await self._enqueue(connection, drafts, {}) if drafts else []

    async def known(self, drafts: Sequence[Draft]) -> Sequence[Enqueued | DomainError | None]:
        """See NotificationStore.known."""
        async with self._database.connection() as connection:
            return await known_drafts(connection, drafts, await self._clock.now(connection))

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, Route]]) -> int:
        """See NotificationStore.enqueue_for_event."""
        async with self._database.transaction() as connection:
            if not await first_time(connection, _CONSUMER, event):
                return 0
            outcomes = await self._enqueue(connection, drafts, {})
        return sum(isinstance(one, Enqueued) and not one.existing for one in outcomes)

    async def _enqueue(
        self, connection: Connection, drafts: Sequence[tuple[Draft, Route]], rooms: Mapping[Lane, Room]
    ) -> Sequence[Enqueued | DomainError]:
        # Ids of one millisecond are in no order by themselves; these are, and so are a user's notifications.
        ids = sorted(new_id() for _ in drafts)
        news = [New(id_, draft, route) for id_, (draft, route) in zip(ids, drafts, strict=True)]
        known: dict[str, Enqueued | DomainError] = {}
        if any(new.draft.idempotency_key for new in news):
            # Before any user's lock: whoever waits for a key must hold none.
            known = await claim_keys(connection, news, await self._clock.now(connection))
        fresh = [new for new in news if new.id not in known]
        if not fresh:
            return [known[new.id] for new in news]
        if any(room.places for room in rooms.values()):
            batch = await self._select(connection, fresh, rooms)
        else:
            batch = _batch(fresh, await self._clock.now(connection))
        await self._insert(connection, batch)
        return [
            known.get(new.id) or Enqueued(new.notification(batch.now), claimed=batch.claimed_of(new)) for new in news
        ]

    async def _select(self, connection: Connection, fresh: Sequence[New], rooms: Mapping[Lane, Room]) -> "_Batch":
        """Those that may go now are claimed. None while older work for the same receiver is due: it has the first turn,
        and so has what was accepted first of each user."""
        users = list(dict.fromkeys(new.user for new in fresh))
        ours, server_time = await rate_limit.try_lock(connection, users)
        batch = _batch(fresh, self._clock.at(server_time))
        behind = await _behind_older_work(connection, batch)
        slots = await rate_limit.slots(connection, sorted(ours), self._limit, batch.now)
        free = {user: self._limit.free(taken.taken) for user, taken in slots.items()}
        tallies = {lane: Tally(room) for lane, room in rooms.items()}
        for new in fresh:
            if not free.get(new.user, 0):
                continue
            going = [
                one
                for one in batch.legs[new.id]
                if not one.leg.standby
                and (tally := tallies.get(Lane(one.leg.channel))) is not None
                and _flow(new, one) not in behind
                and tally.take(one.receiver)
            ]
            free[new.user] -= bool(going)
            batch.claimed |= {one.id for one in going}
        return batch

    async def enqueue_claimed(self, draft: Draft, route: Route) -> Enqueued:
        """See NotificationStore.enqueue_claimed."""
        new = New(new_id(), draft, route)
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            known = (await claim_keys(connection, [new], now)).get(new.id)
            if isinstance(known, Enqueued):
                return known
            if isinstance(known, DomainError):
                raise known
            await rate_limit.lock(connection, new.user)
            now = await self._clock.now(connection)
            slots = (await rate_limit.slots(connection, [new.user], self._limit, now))[new.user]
            if not self._limit.free(slots.taken):
                wait = self._limit.frees_at(slots, now) - now
                raise RateLimited(draft.user, self._limit.limit, self._limit.period, wait)
            batch = _batch([new], now)
            batch.claimed |= {one.id for one in batch.legs[new.id] if not one.leg.standby}
            await self._insert(connection, batch)
        return Enqueued(new.notification(now), claimed=batch.claimed_of(new))

    async def _insert(self, connection: Connection, batch: "_Batch") -> None:
        by_tenant: dict[str, list[New]] = defaultdict(list)
        for new in batch.news:
            by_tenant[new.draft.tenant].append(new)
        for tenant, group in by_tenant.items():
            legs = [one for new in group for one in batch.legs[new.id]]
            await connection.execute(
                in_tenant(_INSERT, tenant),
                [new.id for new in group],
                [new.draft.user for new in group],
                [new.draft.type for new in group],
                [new.draft.title for new in group],
                [new.draft.body for new in group],
                [new.draft.data or None for new in group],
                [new.route.channel for new in group],
                ["" if new.draft.channel else dump_plan(new.route.plan) for new in group],
                [len(new.route.legs) for new in group],
                [new.route.step for new in group],
                [new.draft.link for new in group],
                *leg_values(legs),
                [one.id in batch.claimed for one in legs],
                batch.now,
                tenant,
                batch.lease,
                batch.now + self._lease,
            )
        keys = [new.draft.idempotency_key for new in batch.news]
        changes = events.status_changes([new.notification(batch.now) for new in batch.news], batch.now, keys=keys)
        await self._outbox.add_bundles(connection, [changes])


@dataclass(slots=True)
class _Batch:
    """What is accepted together, its deliveries by notification, and which of them are claimed with it."""

    news: Sequence[New]
    legs: Mapping[str, Sequence[LegRow]]
    now: datetime
    lease: str
    claimed: set[str]

    def claimed_of(self, new: New) -> tuple[Claimed, ...]:
        """The claimed deliveries of one, with all that an attempt needs."""
        return tuple(
            Claimed(
                id=one.id,
                lease=self.lease,
                lane=Lane(one.leg.channel),
                receiver=one.receiver,
                tenant=new.draft.tenant,
                reference=new.id,
                channel=one.leg.channel,
                message=_outgoing(new, self.now),
                endpoint=one.leg.endpoint.at(self.now) if one.leg.endpoint else None,
                priority=one.priority,
            )
            for one in self.legs[new.id]
            if one.id in self.claimed
        )


def _batch(news: Sequence[New], now: datetime) -> _Batch:
    return _Batch(news, {new.id: new.legs(now) for new in news}, now, str(uuid4()), set())


_Flow = tuple[str, str, str, int]
"""Lane, tenant, receiver and priority."""


def _flow(new: New, one: LegRow) -> _Flow:
    return one.leg.channel, new.draft.tenant, one.receiver, one.priority


async def _behind_older_work(connection: Connection, batch: _Batch) -> set[_Flow]:
    wanted = sorted({_flow(new, one) for new in batch.news for one in batch.legs[new.id]})
    found = await connection.fetch(_OLDER_WORK, *map(list, zip(*wanted, strict=True)), batch.now)
    return {wanted[row["place"] - 1] for row in found}


def _outgoing(new: New, now: datetime) -> Outgoing:
    draft = new.draft
    return Outgoing(
        id=new.id,
        tenant=draft.tenant,
        user=draft.user,
        type=draft.type,
        title=draft.title,
        body=draft.body,
        data=draft.data,
        link=draft.link,
        created_at=now,
    )
