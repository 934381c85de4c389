"""Notifications of all tenants: the store and the queue that the use cases see."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database, Outbox
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.claims import Claimer
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.completion import Completer
from services.notification.adapters.postgres.conditions import Conditions
from services.notification.adapters.postgres.enqueue import Enqueuer
from services.notification.adapters.postgres.retry_abandoned import retry_abandoned
from services.notification.adapters.postgres.rows import is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed, Claims, Completion
from services.notification.application.ports import Enqueued, NotificationFilter, Position
from services.notification.domain.delivery import Outgoing
from services.notification.domain.errors import NotificationNotFound, VersionConflict
from services.notification.domain.notification import ChannelName, Draft, Notification
from services.notification.domain.rate_limit import RateLimit

_GET = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM TENANT.notifications n {rows.SCHEDULED}
    WHERE n.id = $1
"""
_PAGE = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM TENANT.notifications n {rows.SCHEDULED}
    /*where*/ ORDER BY n.created_at DESC, n.id DESC LIMIT $1
"""
_MARK_READ = f"""
    WITH marks AS (
        SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS m (id, expected)
    ), wanted AS (
        SELECT id FROM TENANT.notifications n WHERE id = ANY($1::uuid[]) AND read_at IS NULL
            AND EXISTS (SELECT FROM marks m WHERE m.id = n.id AND m.expected IN (0, n.version))
        ORDER BY id FOR NO KEY UPDATE
    ), marked AS (
        UPDATE TENANT.notifications n SET read_at = $3, version = version + 1 FROM wanted
        WHERE n.id = wanted.id AND n.read_at IS NULL RETURNING n.*
    )
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM marked n {rows.SCHEDULED}
"""
_READ = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at FROM TENANT.notifications n {rows.SCHEDULED}
    WHERE n.id = ANY($1::uuid[])
"""


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
        self._marking = database.group_commit("marks", self._mark_read)

    async def enqueue(
        self, drafts: Sequence[tuple[Draft, ChannelName]], *, claim: int = 0
    ) -> Sequence[Enqueued | DomainError]:
        """See NotificationStore."""
        return await self._enqueuer.enqueue(drafts, claim=claim)

    async def enqueue_for_event(self, event: str, drafts: Sequence[tuple[Draft, ChannelName]]) -> int:
        """See NotificationStore."""
        return await self._enqueuer.enqueue_for_event(event, drafts)

    async def enqueue_claimed(self, draft: Draft, channel: ChannelName) -> Enqueued | Claimed:
        """See NotificationStore."""
        return await self._enqueuer.enqueue_claimed(draft, channel)

    async def claim(self, limit: int) -> Claims:
        """See DeliveryQueue."""
        return await self._claimer.claim(limit)

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
        where = Conditions(limit)
        if wanted.user:
            where.add("n.recipient = {}", wanted.user)
        if wanted.status is not None:
            where.add("n.status = {}", wanted.status.value)
        if wanted.unread:
            where.add("n.status = 'SENT' AND n.read_at IS NULL")
        if after is not None:
            where.add("(n.created_at, n.id) < ({}::timestamptz, {}::uuid)", *after)
        statement = where.into(in_tenant(_PAGE, wanted.tenant))
        async with self._database.connection() as connection:
            found = await connection.fetch(statement, *where.arguments)
        return [rows.notification(row, wanted.tenant, row["next_attempt_at"]) for row in found]

    async def mark_read(self, tenant: str, id_: str, expected: int = 0) -> Notification:
        """See NotificationStore."""
        if not is_own_id(id_):
            raise NotificationNotFound(metadata={"id": id_})
        return await self._marking.submit((tenant, id_, expected))

    async def _mark_read(
        self, connection: Connection, marks: Sequence[tuple[str, str, int]]
    ) -> list[Notification | DomainError]:
        now = await self._clock.now(connection)
        by_tenant: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for tenant, id_, expected in marks:
            by_tenant[tenant].append((id_, expected))
        found: dict[tuple[str, str], Notification] = {}
        before: dict[tuple[str, str], int] = {}
        """The versions that were changed, until the mark that changed them has been met."""
        for tenant in sorted(by_tenant):
            wanted = by_tenant[tenant]
            ids, versions = [id_ for id_, _ in wanted], [expected for _, expected in wanted]
            marked = await connection.fetch(in_tenant(_MARK_READ, tenant), ids, versions, now)
            before |= {(tenant, row["id"]): row["version"] - 1 for row in marked}
            others = set(ids) - {row["id"] for row in marked}
            kept = await connection.fetch(in_tenant(_READ, tenant), sorted(others)) if others else []
            found |= {
                (tenant, row["id"]): rows.notification(row, tenant, row["next_attempt_at"]) for row in (*marked, *kept)
            }
        outcomes: list[Notification | DomainError] = []
        for tenant, id_, expected in marks:
            kept = found.get((tenant, id_))
            if kept is None:
                outcomes.append(NotificationNotFound(metadata={"id": id_}))
                continue
            current = before.get((tenant, id_), kept.version)
            if expected in (0, current):
                before.pop((tenant, id_), None)
                outcomes.append(kept)
            else:
                outcomes.append(VersionConflict(id_, expected, current))
        return outcomes

    async def retry_abandoned(self, tenant: str, id_: str) -> bool:
        """See NotificationStore."""
        if not is_own_id(id_):
            return False
        async with self._database.transaction() as connection:
            return await retry_abandoned(connection, self._outbox, tenant, id_, await self._clock.now(connection))


async def get_notification(connection: Connection, tenant: str, id_: str) -> Notification:
    """Raises NotificationNotFound."""
    row = await connection.fetchrow(in_tenant(_GET, tenant), id_) if is_own_id(id_) else None
    if row is None:
        raise NotificationNotFound(metadata={"id": id_})
    return rows.notification(row, tenant, row["next_attempt_at"])
