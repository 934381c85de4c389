"""Reading notifications, and marking them read."""

from collections.abc import Sequence

from services.notification.application.ports import NotificationFilter, NotificationStore, Position
from services.notification.application.tenants import Tenants
from services.notification.domain.notification import Notification


class Inbox:
    """Handles queries, and MarkRead."""

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

    async def mark_read(self, tenant: str, id_: str, expected: int = 0) -> Notification:
        """The notification, read. The time of the first reading stays. Raises TenantForbidden, TenantUnknown,
        NotificationNotFound, and VersionConflict where another version stands than the `expected` one (0: any)."""
        self._tenants.require(tenant)
        return await self._store.mark_read(tenant, id_, expected)
