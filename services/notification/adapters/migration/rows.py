"""The rows of a batch."""

from collections.abc import Sequence

from services.chassis.postgres import Connection
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.old_notification import OldNotification

_STORE = """
    INSERT INTO TENANT.notifications (
        id, recipient, type, title, body, data, channel, status, error, created_at, sent_at, read_at, migration_run
    )
    SELECT n.*, $13::uuid FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::json[], $7::text[], $8::text[], $9::text[],
        $10::timestamptz[], $11::timestamptz[], $12::timestamptz[]
    ) AS n
    ON CONFLICT (id) DO NOTHING RETURNING id::text AS id
"""


async def store_rows(connection: Connection, tenant: str, run: str, group: Sequence[OldNotification]) -> set[str]:
    """The ids of those that were not known yet."""
    rows = [
        (
            one.id,
            one.user,
            one.type.value,
            one.title,
            one.body,
            one.data,
            one.channel.value,
            one.status.value,
            one.error,
            one.created_at,
            one.sent_at,
            one.read_at,
        )
        for one in group
    ]
    stored = await connection.fetch(in_tenant(_STORE, tenant), *map(list, zip(*rows, strict=True)), run)
    return {row["id"] for row in stored}
