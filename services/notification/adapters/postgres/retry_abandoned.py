"""Takes up again notifications that were given up."""

from collections.abc import Sequence
from datetime import datetime

from services.chassis.postgres import Connection, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.addresses import contacts_of
from services.notification.adapters.postgres.plan_steps import Going, insert_legs, plan_of
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.channel_plan import NOBODY, legs_from, lost
from services.notification.domain.lane import priority_of_type

_RETRY = f"""
    WITH wanted AS (
        SELECT id FROM TENANT.notifications
        WHERE id = ANY($1::uuid[]) AND status = 'FAILED' AND migration_run IS NULL
        ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE TENANT.notifications n SET status = 'PENDING', version = version + 1 FROM wanted
    WHERE n.id = wanted.id RETURNING {rows.NOTIFICATION_COLUMNS}, n.plan
"""


async def retry_abandoned(
    connection: Connection, outbox: Outbox, tenant: str, ids: Sequence[str], now: datetime
) -> int:
    """Those of them that are FAILED become PENDING and due now, by their plans and the users' addresses of today, as
    events too; how many. What a former system had failed to send is left to it."""
    found = await connection.fetch(in_tenant(_RETRY, tenant), ids)
    if not found:
        return 0
    plans = {row["id"]: row["plan"] for row in found}
    notifications = sorted((rows.notification(row, tenant) for row in found), key=lambda one: one.id)
    contacts = await contacts_of(connection, tenant, sorted({one.user for one in notifications}))
    going: list[Going] = []
    for one in notifications:
        plan = plan_of(plans[one.id], one)
        legs = legs_from(plan, 0, contacts.get(one.user, NOBODY).addresses) or lost(plan).legs
        going.append(Going(one, priority_of_type(one.type), legs))
    await insert_legs(connection, tenant, going, now)
    await outbox.add_bundles(connection, [events.status_changes(notifications, now)])
    return len(notifications)
