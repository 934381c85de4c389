"""Makes notifications durable: the notification, its idempotency key, its place in the schedule and the event."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database, Outbox, first_time
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.claims import load
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.ports import Accepted
from services.notification.application.work import Claimed
from services.notification.domain.errors import IdempotencyConflict, RateLimited
from services.notification.domain.notification import KEYS_LAST, ChannelName, Draft, Notification, Status
from services.notification.domain.rate import RateLimit

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
_INSERT = """
    INSERT INTO TENANT.notifications (id, recipient, type, title, body, data, channel, created_at)
    SELECT id, recipient, type, title, body, data::json, channel, $8
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        AS n (id, recipient, type, title, body, data, channel)
"""
_SCHEDULE = """
    INSERT INTO deliveries
        (id, kind, tenant, recipient, channel, reference, next_attempt_at, created_at, lease, claims)
    SELECT id, 'NOTIFICATION', tenant, recipient, channel, reference, $6, $7, $8, $9
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[])
        AS d (id, tenant, recipient, channel, reference)
"""
_SCHEDULE_AND_TELL = f"WITH added AS ({_SCHEDULE}) SELECT pg_notify('notification_work', '')"


@dataclass(frozen=True, slots=True)
class _New:
    id: str
    """Of the notification, and of its delivery."""
    draft: Draft
    channel: ChannelName


class Accepter:
    """Accepts notifications, alone or many at once."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, limit: RateLimit, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._limit = limit
        self._lease = lease

    async def accept(self, drafts: Sequence[tuple[Draft, ChannelName]]) -> Sequence[Accepted | DomainError]:
        """See NotificationStore.accept."""
        if not drafts:
            return []
        async with self._database.transaction() as connection:
            return await self._accept(connection, drafts)

    async def accept_event(self, event: str, drafts: Sequence[tuple[Draft, ChannelName]]) -> int:
        """See NotificationStore.accept_event."""
        async with self._database.transaction() as connection:
            if not await first_time(connection, _CONSUMER, event):
                return 0
            outcomes = await self._accept(connection, drafts)
        return sum(isinstance(one, Accepted) and not one.existing for one in outcomes)

    async def _accept(
        self, connection: Connection, drafts: Sequence[tuple[Draft, ChannelName]]
    ) -> Sequence[Accepted | DomainError]:
        # Ids of one millisecond are in no order by themselves; these are, and so are a user's notifications.
        ids = sorted(new_id() for _ in drafts)
        news = [_New(id_, draft, channel) for id_, (draft, channel) in zip(ids, drafts, strict=True)]
        now = await self._clock.now(connection)
        known = await self._claim_keys(connection, news, now)
        fresh = [new for new in news if new.id not in known]
        if not fresh:
            return [known[new.id] for new in news]
        made = await self._insert(connection, fresh, now)
        await self._schedule(connection, fresh, now, lease=None)
        return [known.get(new.id) or made[new.id] for new in news]

    async def accept_claimed(self, draft: Draft, channel: ChannelName) -> Accepted | Claimed:
        """See NotificationStore.accept_claimed."""
        new = _New(new_id(), draft, channel)
        user = (draft.tenant, draft.user)
        lease = str(uuid4())
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            known = (await self._claim_keys(connection, [new], now)).get(new.id)
            if isinstance(known, Accepted):
                return known
            if isinstance(known, DomainError):
                raise known
            await rate_limit.lock(connection, user)
            now = await self._clock.now(connection)
            slots = (await rate_limit.slots(connection, [user], self._limit, now))[user]
            if not self._limit.free(slots.taken):
                turn = self._limit.turns(slots.completed, slots.under_way, now, count=1)[0]
                raise RateLimited(draft.user, self._limit.limit, self._limit.period, turn - now)
            await rate_limit.take(connection, lease, [(new.id, user)])
            await self._insert(connection, [new], now)
            await self._schedule(connection, [new], now, lease=lease)
            claimed = await load(connection, [_as_row(new)], lease)
        return claimed[0]

    async def _claim_keys(
        self, connection: Connection, news: Sequence[_New], now: datetime
    ) -> dict[str, Accepted | DomainError]:
        """What is known already, by the id that the new notification would have had."""
        by_tenant: dict[str, dict[str, list[_New]]] = defaultdict(lambda: defaultdict(list))
        for new in news:
            if key := new.draft.idempotency_key:
                by_tenant[new.draft.tenant][key].append(new)
        known: dict[str, Accepted | DomainError] = {}
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
                existing = Accepted(rows.notification(row, tenant, row["next_attempt_at"]), existing=True)
                known |= {new.id: _judged(new, row["fingerprint"], existing) for new in groups[row["key"]]}
            for key in set(groups) - used:
                first, *repeats = groups[key]
                existing = Accepted(_fresh(first, now), existing=True)
                known |= {new.id: _judged(new, first.draft.fingerprint(), existing) for new in repeats}
        return known

    async def _insert(self, connection: Connection, news: Sequence[_New], now: datetime) -> dict[str, Accepted]:
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
                now,
            )
        made = {new.id: Accepted(_fresh(new, now)) for new in news}
        await self._outbox.add_in_order(
            connection, [events.status_changed(accepted.notification, now) for accepted in made.values()]
        )
        return made

    async def _schedule(
        self, connection: Connection, news: Sequence[_New], now: datetime, *, lease: str | None
    ) -> None:
        await connection.execute(
            _SCHEDULE_AND_TELL if lease is None else _SCHEDULE,
            [new.id for new in news],
            [new.draft.tenant for new in news],
            [new.draft.user for new in news],
            [new.channel for new in news],
            [new.id for new in news],
            now if lease is None else now + self._lease,
            now,
            lease,
            0 if lease is None else 1,
        )


def _judged(new: _New, fingerprint: bytes, existing: Accepted) -> Accepted | IdempotencyConflict:
    return existing if new.draft.fingerprint() == fingerprint else IdempotencyConflict(new.draft.idempotency_key)


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


def _as_row(new: _New) -> dict[str, object]:
    return {
        "id": new.id,
        "kind": "NOTIFICATION",
        "tenant": new.draft.tenant,
        "recipient": new.draft.user,
        "channel": new.channel,
        "reference": new.id,
        "attempts": 0,
        "claims": 0,
        "done": (),
        "history": json.dumps([]),
    }
