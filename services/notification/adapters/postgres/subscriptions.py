"""Webhook subscriptions, and the deliveries that events lead to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.ids import new_id
from services.chassis.postgres import Connection, Database
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.application.ports.webhooks import EventDelivery, PublicEvent
from services.notification.domain.errors import SubscriptionExists, SubscriptionNotFound, check_version
from services.notification.domain.notification import Status
from services.notification.domain.webhook import CLOCK_TOLERANCE, Subscription

_FIRST = "00000000-0000-0000-0000-000000000000"
_LOCK_TYPES = "SELECT pg_advisory_xact_lock(hashtextextended('tocsin:notification:event types', 0))"
_CHANGED = "SELECT pg_notify('notification_subscriptions', '')"
_GET = f"SELECT {rows.SUBSCRIPTION_COLUMNS} FROM webhook_subscriptions s WHERE s.id = $1"
_SAME = "SELECT id::text FROM webhook_subscriptions WHERE url = $1 AND event_types && $2::text[] ORDER BY id LIMIT 1"
_ENABLE = f"""
    UPDATE webhook_subscriptions s SET
        version = version + (NOT enabled)::integer, enabled = true, disabled_reason = '', failing_since = NULL
    WHERE s.id = $1 RETURNING {rows.SUBSCRIPTION_COLUMNS}
"""
_ROTATE = f"""
    UPDATE webhook_subscriptions s SET
        former_secret = secret, secret = $2, former_secret_until = $3, version = version + 1
    WHERE s.id = $1 RETURNING {rows.SUBSCRIPTION_COLUMNS}
"""
_WANTING = """
    SELECT place, s.id::text AS subscription
    FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS e (type, published_at, place)
    JOIN webhook_subscriptions s
        ON s.enabled AND e.type = ANY(s.event_types) AND e.published_at > s.created_at - $3::interval
"""
_SCHEDULE = """
    INSERT INTO deliveries AS d
        (id, kind, channel, reference, receiver, event_id, event_type, body, next_attempt_at, created_at, state_at)
    SELECT id, 'EVENT', 'WEBHOOK', reference, reference::text, event_id, event_type, body, $6, $6, $6
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
        AS n (id, reference, event_id, event_type, body)
    ORDER BY n.reference, n.event_id
    ON CONFLICT (reference, event_id) WHERE kind = 'EVENT'
"""
_ONCE = f"{_SCHEDULE} DO NOTHING"
_ANEW = f"""
    {_SCHEDULE} DO UPDATE SET
        state = 'OPEN', body = excluded.body, attempts = 0, claims = 0, lease = NULL, history = '[]',
        next_attempt_at = excluded.next_attempt_at, state_at = excluded.state_at
    WHERE d.state = 'FAILED'
"""
_DELIVERIES = """
    SELECT d.event_id, s.id::text AS subscription, s.url, d.state, d.attempts,
        coalesce(d.state_at, d.created_at) AS at, coalesce(d.history -> -1 ->> 2, '') AS message
    FROM webhook_subscriptions s
    JOIN deliveries d ON d.kind = 'EVENT' AND d.reference = s.id AND d.event_id = ANY($1::text[])
    ORDER BY at, d.id LIMIT $2
"""
_STATUSES = {"OPEN": Status.PENDING, "DONE": Status.SENT, "FAILED": Status.FAILED}


class PostgresSubscriptions:
    """SubscriptionStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, subscription: Subscription, prepare: Callable[[], Awaitable[None]]) -> Subscription:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK_TYPES)
            types = list(subscription.event_types)
            if (first := await connection.fetchval(_SAME, subscription.url, types)) is not None:
                raise SubscriptionExists(first, subscription.url)
            await prepare()
            now = await self._clock.now(connection)
            await connection.execute(
                """
                INSERT INTO webhook_subscriptions (id, url, event_types, secret, created_at, unknown_outcome)
                VALUES ($1, $2, $3, $4, $5, $6)
                """,
                subscription.id,
                subscription.url,
                types,
                subscription.secret,
                now,
                subscription.unknown_outcome,
            )
            await connection.execute(_CHANGED)
        return replace(subscription, created_at=now)

    async def get(self, id_: str) -> Subscription:
        """See SubscriptionStore."""
        async with self._database.connection() as connection:
            return await _kept(connection, id_)

    async def page(self, *, limit: int, after: str) -> Sequence[Subscription]:
        """See SubscriptionStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                f"SELECT {rows.SUBSCRIPTION_COLUMNS} FROM webhook_subscriptions s "
                "WHERE s.id > $1 ORDER BY s.id LIMIT $2",
                after or _FIRST,
                limit,
            )
        return [rows.subscription(row) for row in found]

    async def enable(
        self, id_: str, prepare: Callable[[Sequence[str]], Awaitable[None]], *, expected: int = 0
    ) -> Subscription:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK_TYPES)
            await prepare((await _locked(connection, id_, expected)).event_types)
            row = await connection.fetchrow(_ENABLE, id_)
            await connection.execute(_CHANGED)
        return _found(row, id_)

    async def rotate(self, id_: str, secret: str, overlap: timedelta, *, expected: int = 0) -> Subscription:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            await _locked(connection, id_, expected)
            now = await self._clock.now(connection)
            row = await connection.fetchrow(_ROTATE, id_, secret, now + overlap)
        return replace(_found(row, id_), secret=secret)

    async def delete(self, id_: str, *, expected: int = 0) -> None:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            await _locked(connection, id_, expected)
            await connection.execute("DELETE FROM webhook_subscriptions WHERE id = $1", id_)
            await connection.execute("DELETE FROM deliveries WHERE kind = 'EVENT' AND reference = $1", id_)
            await connection.execute(_CHANGED)

    async def wanted_types(self) -> frozenset[str]:
        """See SubscriptionStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                "SELECT DISTINCT unnest(event_types) AS type FROM webhook_subscriptions WHERE enabled"
            )
        return frozenset(row["type"] for row in found)

    async def when_unwanted(self, event_type: str, act: Callable[[], Awaitable[None]]) -> bool:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            await connection.execute(_LOCK_TYPES)
            if await connection.fetchval(
                "SELECT EXISTS (SELECT FROM webhook_subscriptions WHERE enabled AND $1 = ANY(event_types))", event_type
            ):
                return False
            await act()
        return True

    async def fan_out(self, events: Sequence[PublicEvent]) -> Sequence[int]:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            wanting = await connection.fetch(
                _WANTING, [event.type for event in events], [event.published_at for event in events], CLOCK_TOLERANCE
            )
            # The same event may stand in one call twice, when it was redelivered.
            pairs = {(row["subscription"], events[row["place"] - 1].id): events[row["place"] - 1] for row in wanting}
            if pairs:
                await _schedule(connection, _ONCE, [(event, to) for (to, _), event in pairs.items()], now)
        counts = [0] * len(events)
        for row in wanting:
            counts[row["place"] - 1] += 1
        return counts

    async def deliveries(self, events: Sequence[str], limit: int) -> Sequence[EventDelivery]:
        """See SubscriptionStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(_DELIVERIES, events, limit)
        return [
            EventDelivery(
                event=row["event_id"],
                subscription=row["subscription"],
                url=row["url"],
                status=_STATUSES[row["state"]],
                attempts=row["attempts"],
                at=row["at"],
                message=row["message"],
            )
            for row in found
        ]

    async def resend(self, event: PublicEvent, subscription: str) -> bool:
        """See SubscriptionStore."""
        async with self._database.transaction() as connection:
            wants = await connection.fetchval(
                "SELECT EXISTS (SELECT FROM webhook_subscriptions WHERE id::text = $1 AND enabled "
                "AND $2 = ANY(event_types))",
                subscription,
                event.type,
            )
            if wants:
                await _schedule(connection, _ANEW, [(event, subscription)], await self._clock.now(connection))
        return wants


async def _kept(connection: Connection, id_: str) -> Subscription:
    row = await connection.fetchrow(_GET, id_) if is_own_id(id_) else None
    return _found(row, id_)


async def _locked(connection: Connection, id_: str, expected: int) -> Subscription:
    """The subscription, which nobody else changes now. Raises SubscriptionNotFound and VersionConflict."""
    row = await connection.fetchrow(f"{_GET} FOR NO KEY UPDATE", id_) if is_own_id(id_) else None
    kept = _found(row, id_)
    check_version(id_, expected, kept.version)
    return kept


def _found(row: rows.Row | None, id_: str) -> Subscription:
    if row is None:
        raise SubscriptionNotFound(metadata={"id": id_})
    return rows.subscription(row)


async def _schedule(
    connection: Connection, statement: str, pairs: Sequence[tuple[PublicEvent, str]], now: datetime
) -> None:
    await connection.execute(
        statement,
        [new_id() for _ in pairs],
        [subscription for _, subscription in pairs],
        [event.id for event, _ in pairs],
        [event.type for event, _ in pairs],
        [event.body for event, _ in pairs],
        now,
    )
    await connection.execute("SELECT pg_notify('notification_work', 'EVENT')")
