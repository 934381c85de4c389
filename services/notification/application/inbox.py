"""Reading notifications, marking them read or opened, and taking up again what was given up."""

from collections.abc import Sequence
from datetime import datetime

from services.notification.application.ports.notifications import (
    AbandonedFilter,
    NotificationFilter,
    NotificationStore,
    Position,
)
from services.notification.application.tenants import Tenants
from services.notification.domain.notification import Notification


class Inbox:
    """Handles queries, and what readers do."""

    def __init__(self, tenants: Tenants, store: NotificationStore) -> None:
        self._tenants = tenants
        self._store = store

    async def get(self, tenant: str, id_: str) -> Notification:
        """Raises TenantForbidden, TenantUnknown and NotificationNotFound."""
        self._tenants.require(tenant)
        return await self._store.get(tenant, id_)

    async def page(self, wanted: NotificationFilter, *, limit: int, after: Position | None) -> Sequence[Notification]:
        """Up to `limit` notifications after the position, newest first."""
        self._tenants.require(wanted.tenant)
        return await self._store.page(wanted, limit=limit, after=after)

    async def mark_read(self, tenant: str, id_: str, expected: int = 0, *, opened: bool = False) -> Notification:
        """The notification, read (and opened). The first times stay. Raises TenantForbidden, TenantUnknown,
        NotificationNotFound, and VersionConflict where another version stands than the `expected` one (0: any)."""
        self._tenants.require(tenant)
        return await self._store.mark_read(tenant, id_, expected, opened=opened)

    async def mark_all_read(self, tenant: str, user: str, until: datetime | None) -> int:
        """How many of those accepted no later than `until` were unread. Raises TenantForbidden and TenantUnknown."""
        self._tenants.require(tenant)
        return await self._store.mark_all_read(tenant, user, until)

    async def retry(self, wanted: AbandonedFilter, limit: int, *, dry_run: bool) -> tuple[int, bool]:
        """How many FAILED ones were taken up again, and whether there are more than `limit`. Raises TenantForbidden and
        TenantUnknown."""
        self._tenants.require(wanted.tenant)
        found = await self._store.abandoned(wanted, limit + 1)
        ids = found[:limit]
        retried = len(ids) if dry_run else await self._store.retry_abandoned(wanted.tenant, ids)
        return retried, len(found) > limit
