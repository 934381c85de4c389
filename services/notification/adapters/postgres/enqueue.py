"""Makes notifications durable: the notification, its idempotency key, its place in the schedule and the event.

Who accepts may claim at once what it has room for: such a delivery is written once, with its lease and its slot, and no
claim of its own follows.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database, Outbox, first_time
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.addresses import Addresses, addresses_of
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rate_limit import User
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.ports import Enqueued
from services.notification.domain.delivery import Outgoing
from services.notification.domain.errors import IdempotencyConflict, RateLimited
from services.notification.domain.notification import KEYS_LAST, ChannelName, Draft, Notification, Status
from services.notification.domain.rate_limit import AHEAD, RateLimit

_CONSUMER = "alarm_notices"
"""Whose marks in the inbox say which events have had their notifications."""

_CLAIM_KEYS = """
    INSERT INTO TENANT.idempotency_keys AS k (key, fingerprint, notification, created_at)
    SELECT key, fingerprint, notification, $4 FROM unnest($1::text[], $2::bytea[], $3::uuid[])
        AS n (key, fingerprint, notification) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        fingerprint = excluded.fingerprint, notification = excluded.notification, created_at = excluded.created_at
    WHERE k.created_at < $5
    RETURNING key
"""
_KNOWN_KEYS = f"""
    SELECT k.key, k.fingerprint, {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at
    FROM TENANT.idempotency_keys k JOIN TENANT.notifications n ON n.id = k.notification {rows.SCHEDULED}
    WHERE k.key = ANY($1::text[])
"""
_OLDER_WORK = "SELECT EXISTS (SELECT FROM deliveries WHERE state = 'OPEN' AND next_attempt_at <= $1)"
_INSERT = """
    WITH new AS (
        SELECT * FROM unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[],
            $13::boolean[]
        ) AS n (id, recipient, type, title, body, data, channel, claimed, urgent)
    ), kept AS (
        INSERT INTO TENANT.notifications (id, recipient, type, title, body, data, channel, created_at)
        SELECT id, recipient, type, title, body, data::json, channel, $9::timestamptz FROM new
    ), slots AS (
        INSERT INTO rate_slots (delivery, lease, tenant, recipient)
        SELECT id, $11::uuid, $10::text, recipient FROM new WHERE claimed
    ), scheduled AS (
        INSERT INTO deliveries
            (id, kind, tenant, recipient, channel, reference, created_at, next_attempt_at, lease, claims,
            urgent)
        SELECT id, 'NOTIFICATION', $10, recipient, channel, id, $9,
            CASE WHEN claimed THEN $12::timestamptz WHEN urgent THEN $14::timestamptz ELSE $9 END,
            CASE WHEN claimed THEN $11::uuid END, claimed::integer, urgent
        FROM new
    )
    SELECT pg_notify('notification_work', '') WHERE EXISTS (SELECT FROM new WHERE NOT claimed)
"""


@dataclass(frozen=True, slots=True)
class _New:
    id: str
    """Of the notification, and of its delivery."""
    draft: Draft
    channel: ChannelName

    @property
    def user(self) -> User:
        return self.draft.tenant, self.draft.user


class Enqueuer:
    """Accepts notifications, alone or many at once."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, limit: RateLimit, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._limit = limit
        self._lease = lease

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, ChannelName]], *, claim: int
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore.enqueue."""
        if not drafts:
            return []
        async with self._database.transaction() as connection:
            return await self._enqueue(connection, drafts, claim)

    async def enqueue_within(
        self, connection: Connection, drafts: Sequence[tuple[Draft, ChannelName]]
    ) -> Sequence[Enqueued | DomainError]:
        """Like `enqueue`, as a part of the caller's transaction."""
        return await self._enqueue(connection, drafts, 0) if drafts else []

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, ChannelName]]) -> int:
        """See NotificationStore.enqueue_for_event."""
        async with self._database.transaction() as connection:
            if not await first_time(connection, _CONSUMER, event):
                return 0
            outcomes = await self._enqueue(connection, drafts, 0)
        return sum(isinstance(one, Enqueued) and not one.existing for one in outcomes)

    async def _enqueue(
        self, connection: Connection, drafts: Sequence[tuple[Draft, ChannelName]], claim: int
    ) -> Sequence[Enqueued | DomainError]:
        # Ids of one millisecond are in no order by themselves; these are, and so are a user's notifications.
        ids = sorted(new_id() for _ in drafts)
        news = [_New(id_, draft, channel) for id_, (draft, channel) in zip(ids, drafts, strict=True)]
        known: dict[str, Enqueued | DomainError] = {}
        if any(new.draft.idempotency_key for new in news):
            # Before any user's lock: whoever waits for a key must hold none.
            known = await self._claim_keys(connection, news, await self._clock.now(connection))
        fresh = [new for new in news if new.id not in known]
        if not fresh:
            return [known[new.id] for new in news]
        if claim:
            going, now = await self._select(connection, fresh, claim)
        else:
            going, now = [], await self._clock.now(connection)
        lease = str(uuid4())
        await self._insert(connection, fresh, {new.id for new in going}, lease, now)
        claimed = {one.id: one for one in await _claimed(connection, going, lease, now)}
        return [known.get(new.id) or Enqueued(_fresh(new, now), claimed=claimed.get(new.id)) for new in news]

    async def _select(self, connection: Connection, fresh: Sequence[_New], limit: int) -> tuple[list[_New], datetime]:
        """Those that may go now, and the time. None while older work is due: it has the first turn, and so has what
        was accepted first of each user."""
        users = list(dict.fromkeys(new.user for new in fresh))
        ours, server_time = await rate_limit.try_lock(connection, users)
        now = self._clock.at(server_time)
        if await connection.fetchval(_OLDER_WORK, now):
            return [], now
        slots = await rate_limit.slots(connection, sorted(ours), self._limit, now)
        free = {user: self._limit.free(taken.taken) for user, taken in slots.items()}
        going: list[_New] = []
        for new in fresh:
            if len(going) == limit:
                break
            if free.get(new.user, 0):
                free[new.user] -= 1
                going.append(new)
        return going, now

    async def enqueue_claimed(self, draft: Draft, channel: ChannelName) -> Enqueued | Claimed:
        """See NotificationStore.enqueue_claimed."""
        new = _New(new_id(), draft, channel)
        lease = str(uuid4())
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            known = (await self._claim_keys(connection, [new], now)).get(new.id)
            if isinstance(known, Enqueued):
                return known
            if isinstance(known, DomainError):
                raise known
            await rate_limit.lock(connection, new.user)
            now = await self._clock.now(connection)
            slots = (await rate_limit.slots(connection, [new.user], self._limit, now))[new.user]
            if not self._limit.free(slots.taken):
                turn = self._limit.turns(slots.completed, slots.under_way, now, count=1)[0]
                raise RateLimited(draft.user, self._limit.limit, self._limit.period, turn - now)
            await self._insert(connection, [new], {new.id}, lease, now)
            claimed = await _claimed(connection, [new], lease, now)
        return claimed[0]

    async def _claim_keys(
        self, connection: Connection, news: Sequence[_New], now: datetime
    ) -> dict[str, Enqueued | DomainError]:
        """What is known already, by the id that the new notification would have had."""
        by_tenant: dict[str, dict[str, list[_New]]] = defaultdict(lambda: defaultdict(list))
        for new in news:
            if key := new.draft.idempotency_key:
                by_tenant[new.draft.tenant][key].append(new)
        known: dict[str, Enqueued | DomainError] = {}
        for tenant in sorted(by_tenant):
            groups = by_tenant[tenant]
            firsts = [group[0] for group in groups.values()]
            claimed = await connection.fetch(
                in_tenant(_CLAIM_KEYS, tenant),
                list(groups),
                [new.draft.fingerprint() for new in firsts],
                [new.id for new in firsts],
                now,
                now - KEYS_LAST,
            )
            used = set(groups) - {row["key"] for row in claimed}
            kept = await connection.fetch(in_tenant(_KNOWN_KEYS, tenant), sorted(used)) if used else []
            for row in kept:
                existing = Enqueued(rows.notification(row, tenant, row["next_attempt_at"]), existing=True)
                known |= {new.id: _judged(new, row["fingerprint"], existing) for new in groups[row["key"]]}
            for key in set(groups) - used:
                first, *repeats = groups[key]
                existing = Enqueued(_fresh(first, now), existing=True)
                known |= {new.id: _judged(new, first.draft.fingerprint(), existing) for new in repeats}
        return known

    async def _insert(
        self, connection: Connection, news: Sequence[_New], claimed: Collection[str], lease: str, now: datetime
    ) -> None:
        by_tenant: dict[str, list[_New]] = defaultdict(list)
        for new in news:
            by_tenant[new.draft.tenant].append(new)
        for tenant, group in by_tenant.items():
            await connection.execute(
                in_tenant(_INSERT, tenant),
                [new.id for new in group],
                [new.draft.user for new in group],
                [new.draft.type for new in group],
                [new.draft.title for new in group],
                [new.draft.body for new in group],
                [new.draft.data or None for new in group],
                [new.channel for new in group],
                [new.id in claimed for new in group],
                now,
                tenant,
                lease,
                now + self._lease,
                [new.draft.urgent for new in group],
                now - AHEAD,
            )
        changes = events.status_changes([_fresh(new, now) for new in news], now)
        await self._outbox.add_bundles(connection, [changes])


async def _claimed(connection: Connection, going: Sequence[_New], lease: str, now: datetime) -> list[Claimed]:
    """What was just accepted and claimed, with all that an attempt needs."""
    users: dict[str, set[str]] = defaultdict(set)
    for new in going:
        if new.channel is not ChannelName.CONSOLE:
            users[new.draft.tenant].add(new.draft.user)
    known: Mapping[str, Addresses] = {
        tenant: await addresses_of(connection, tenant, wanted) for tenant, wanted in users.items()
    }
    return [
        Claimed(
            id=new.id,
            lease=lease,
            tenant=new.draft.tenant,
            reference=new.id,
            channel=new.channel,
            message=_outgoing(new, now),
            endpoints=known.get(new.draft.tenant, {}).get((new.draft.user, new.channel), ()),
        )
        for new in going
    ]


def _judged(new: _New, fingerprint: bytes, existing: Enqueued) -> Enqueued | IdempotencyConflict:
    return existing if new.draft.fingerprint() == fingerprint else IdempotencyConflict(new.draft.idempotency_key)


def _outgoing(new: _New, now: datetime) -> Outgoing:
    draft = new.draft
    return Outgoing(
        id=new.id,
        tenant=draft.tenant,
        user=draft.user,
        type=draft.type,
        title=draft.title,
        body=draft.body,
        data=draft.data,
        created_at=now,
    )


def _fresh(new: _New, now: datetime) -> Notification:
    return Notification(
        id=new.id,
        tenant=new.draft.tenant,
        user=new.draft.user,
        type=new.draft.type,
        title=new.draft.title,
        body=new.draft.body,
        data=new.draft.data,
        channel=new.channel,
        status=Status.PENDING,
        attempts=0,
        error="",
        created_at=now,
    )
