"""Notifications of all tenants: the store and the queue that the use cases see."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.postgres.conditions import Conditions
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.claims import Claimer
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.completion import Completer
from services.notification.adapters.postgres.enqueue import Enqueuer
from services.notification.adapters.postgres.marks import Mark, Marks
from services.notification.adapters.postgres.retry_abandoned import retry_abandoned
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed, Claims, Completion
from services.notification.application.places import Room
from services.notification.application.ports.notifications import (
    NO_ROOM,
    AbandonedFilter,
    Enqueued,
    NotificationFilter,
    Position,
)
from services.notification.domain.channel_plan import Route
from services.notification.domain.delivery import Outgoing
from services.notification.domain.errors import NotificationNotFound
from services.notification.domain.lane import Lane
from services.notification.domain.notification import Draft, Notification
from services.notification.domain.rate_limit import RateLimit

_GET = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at, n.history::text AS history
    FROM TENANT.notifications n {rows.SCHEDULED} WHERE n.id = $1
"""
_PAGE = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM TENANT.notifications n {rows.SCHEDULED}
    /*where*/ ORDER BY n.created_at DESC, n.id DESC LIMIT $1
"""
_BASIC_PAGE = f"""
    SELECT {rows.BASIC_COLUMNS}, NULL AS next_attempt_at FROM TENANT.notifications n
    /*where*/ ORDER BY n.created_at DESC, n.id DESC LIMIT $1
"""
_MARK_ALL = """
    WITH wanted AS (
        SELECT id FROM TENANT.notifications
        WHERE recipient = $1 AND status = 'SENT' AND read_at IS NULL AND created_at <= $2
        ORDER BY id LIMIT $4 FOR NO KEY UPDATE
    )
    UPDATE TENANT.notifications n SET read_at = $3, version = n.version + 1 FROM wanted WHERE n.id = wanted.id
"""
_ABANDONED = """
    SELECT n.id::text AS id FROM TENANT.notifications n /*where*/ ORDER BY n.created_at, n.id LIMIT $1
"""
_STEP = 1000
"""Rows that one transaction marks, at most."""


class PostgresNotifications:
    """NotificationStore and DeliveryQueue."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        outbox: Outbox,
        *,
        limit: RateLimit,
        lease: timedelta,
        disable_after: timedelta,
    ) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._enqueuer = Enqueuer(database, clock, outbox, limit, lease)
        self._claimer = Claimer(database, clock, limit, lease)
        self._completer = Completer(database, clock, outbox, disable_after=disable_after)
        self._marking = Marks(database, clock)

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, Route]], *, rooms: Mapping[Lane, Room] = NO_ROOM
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore."""
        return await self._enqueuer.enqueue(drafts, rooms=rooms)

    async def enqueue_within(
        self, connection: Connection, drafts: Sequence[tuple[Draft, Route]]
    ) -> Sequence[Enqueued | DomainError]:
        """Like `enqueue`, as a part of a transaction that writes down why they are sent."""
        return await self._enqueuer.enqueue_within(connection, drafts)

    async def known(self, drafts: Sequence[Draft]) -> Sequence[Enqueued | DomainError | None]:
        """See NotificationStore."""
        return await self._enqueuer.known(drafts)

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, Route]]) -> int:
        """See NotificationStore."""
        return await self._enqueuer.enqueue_for_event(event, drafts)

    async def enqueue_claimed(self, draft: Draft, route: Route) -> Enqueued:
        """See NotificationStore."""
        return await self._enqueuer.enqueue_claimed(draft, route)

    async def claim(self, room: Room) -> Claims:
        """See DeliveryQueue."""
        return await self._claimer.claim(room)

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """See DeliveryQueue."""
        return await self._completer.complete(completions)

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """See DeliveryQueue."""
        async with self._database.transaction() as connection:
            await connection.execute(
                """
                UPDATE deliveries d SET lease = NULL, next_attempt_at = $3, claims = greatest(d.claims - 1, 0)
                FROM (
                    SELECT d.id FROM deliveries d
                    JOIN unnest($1::uuid[], $2::uuid[]) AS c (id, lease) ON d.id = c.id AND d.lease = c.lease
                    ORDER BY d.id FOR UPDATE OF d
                ) AS ours WHERE d.id = ours.id
                """,
                [claim.id for claim in claimed],
                [claim.lease for claim in claimed],
                await self._clock.now(connection),
            )
            await rate_limit.give_back(
                connection,
                [
                    (claim.id, (claim.tenant, claim.message.user), claim.lease)
                    for claim in claimed
                    if isinstance(claim.message, Outgoing)
                ],
            )
            await connection.execute("SELECT pg_notify('notification_work', '')")

    async def get(self, tenant: str, id_: str) -> Notification:
        """See NotificationStore."""
        async with self._database.connection() as connection:
            return await get_notification(connection, tenant, id_)

    async def page(self, wanted: NotificationFilter, *, limit: int, after: Position | None) -> Sequence[Notification]:
        """See NotificationStore."""
        statement, arguments = page_query(wanted, limit, after)
        async with self._database.connection() as connection:
            found = await connection.fetch(statement, *arguments)
        return [rows.notification(row, wanted.tenant, row["next_attempt_at"]) for row in found]

    async def mark_read(self, tenant: str, id_: str, expected: int = 0, *, opened: bool = False) -> Notification:
        """See NotificationStore."""
        return await self._marking.make(Mark(tenant, id_, expected, opened))

    async def mark_all_read(self, tenant: str, user: str, until: datetime | None) -> int:
        """See NotificationStore."""
        statement, marked = in_tenant(_MARK_ALL, tenant), 0
        while True:  # in steps, so that nobody waits long for these rows
            async with self._database.transaction() as connection:
                now = await self._clock.now(connection)
                until = until or now
                step = int((await connection.execute(statement, user, until, now, _STEP)).split()[-1])
            marked += step
            if step < _STEP:
                return marked

    async def abandoned(self, wanted: AbandonedFilter, limit: int) -> Sequence[str]:
        """See NotificationStore."""
        where = Conditions(limit)
        where.add("n.status = 'FAILED' AND n.migration_run IS NULL")
        if wanted.user:
            where.add("n.recipient = {}", wanted.user)
        if wanted.type is not None:
            where.add("n.type = {}", wanted.type.value)
        if wanted.channel is not None:
            where.add("n.channel = {}", wanted.channel.value)
        _add_times(where, wanted.since, wanted.until)
        async with self._database.connection() as connection:
            found = await connection.fetch(where.into(in_tenant(_ABANDONED, wanted.tenant)), *where.arguments)
        return [row["id"] for row in found]

    async def retry_abandoned(self, tenant: str, ids: Sequence[str]) -> int:
        """See NotificationStore."""
        own = sorted({id_ for id_ in ids if is_own_id(id_)})
        if not own:
            return 0
        async with self._database.transaction() as connection:
            return await retry_abandoned(connection, self._outbox, tenant, own, await self._clock.now(connection))


def page_query(wanted: NotificationFilter, limit: int, after: Position | None) -> tuple[str, list[object]]:
    """The statement of a page, and its arguments."""
    where = Conditions(limit)
    if wanted.user:
        where.add("n.recipient = {}", wanted.user)
    if wanted.status is not None:
        # Written out: an index holds but some statuses.
        where.add(f"n.status = '{wanted.status.value}'")
    if wanted.unread:
        where.add("n.status = 'SENT' AND n.read_at IS NULL")
    _add_times(where, wanted.since, wanted.until)
    if after is not None:
        where.add("(n.created_at, n.id) < ({}::timestamptz, {}::uuid)", *after)
    return where.into(in_tenant(_BASIC_PAGE if wanted.basic else _PAGE, wanted.tenant)), where.arguments


def _add_times(where: Conditions, since: datetime | None, until: datetime | None) -> None:
    if since is not None:
        where.add("n.created_at >= {}::timestamptz", since)
    if until is not None:
        where.add("n.created_at < {}::timestamptz", until)


async def get_notification(connection: Connection, tenant: str, id_: str) -> Notification:
    """Raises NotificationNotFound."""
    row = await connection.fetchrow(in_tenant(_GET, tenant), id_) if is_own_id(id_) else None
    if row is None:
        raise NotificationNotFound(metadata={"id": id_})
    return rows.notification(row, tenant, row["next_attempt_at"], rows.load_history(row["history"]))
