"""Takes up again a notification that was given up."""

from datetime import datetime

from services.chassis.postgres import Connection, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.tenants import in_tenant

_RETRY = f"""
    UPDATE TENANT.notifications n SET status = 'PENDING', version = version + 1
    WHERE id = $1 AND status = 'FAILED' RETURNING {rows.NOTIFICATION_COLUMNS}
"""


async def retry_abandoned(connection: Connection, outbox: Outbox, tenant: str, id_: str, now: datetime) -> bool:
    """FAILED becomes PENDING and due now, as an event too; False when it is in another state, or gone."""
    row = await connection.fetchrow(in_tenant(_RETRY, tenant), id_)
    if row is None:
        return False
    notification = rows.notification(row, tenant)
    await connection.execute(
        """
        INSERT INTO deliveries (id, kind, tenant, recipient, channel, reference, next_attempt_at, created_at)
        VALUES ($1, 'NOTIFICATION', $2, $3, $4, $1, $5, $5)
        """,
        id_,
        tenant,
        notification.user,
        notification.channel,
        now,
    )
    await outbox.add_bundles(connection, [events.status_changes([notification], now)])
    await connection.execute("SELECT pg_notify('notification_work', '')")
    return True
