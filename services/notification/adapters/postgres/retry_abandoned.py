"""Takes up again notifications that were given up."""

from collections.abc import Sequence
from datetime import datetime

from services.chassis.postgres import Connection, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.tenants import in_tenant

_RETRY = f"""
    WITH wanted AS (
        SELECT id FROM TENANT.notifications WHERE id = ANY($1::uuid[]) AND status = 'FAILED'
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE TENANT.notifications n SET status = 'PENDING', version = version + 1 FROM wanted
    WHERE n.id = wanted.id RETURNING {rows.NOTIFICATION_COLUMNS}
"""


async def retry_abandoned(
    connection: Connection, outbox: Outbox, tenant: str, ids: Sequence[str], now: datetime
) -> int:
    """Those of them that are FAILED become PENDING and due now, as events too; how many."""
    found = await connection.fetch(in_tenant(_RETRY, tenant), ids)
    if not found:
        return 0
    notifications = sorted((rows.notification(row, tenant) for row in found), key=lambda one: one.id)
    await connection.execute(
        """
        INSERT INTO deliveries (id, kind, tenant, recipient, channel, reference, next_attempt_at, created_at)
        SELECT id, 'NOTIFICATION', $4, recipient, channel, id, $5, $5
        FROM unnest($1::uuid[], $2::text[], $3::text[]) AS n (id, recipient, channel)
        """,
        [one.id for one in notifications],
        [one.user for one in notifications],
        [one.channel for one in notifications],
        tenant,
        now,
    )
    await outbox.add_bundles(connection, [events.status_changes(notifications, now)])
    await connection.execute("SELECT pg_notify('notification_work', '')")
    return len(notifications)
