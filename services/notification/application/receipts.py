"""Receipts of providers: written down once, the later truth holds."""

from services.notification.application.ports.receipts import ReceiptStore
from services.notification.application.tenants import Tenants
from services.notification.domain.notification import Notification
from services.notification.domain.receipt import Effect, Receipt


class Receipts:
    """Handles what providers report."""

    def __init__(self, tenants: Tenants, store: ReceiptStore) -> None:
        self._tenants = tenants
        self._store = store

    async def apply(self, receipt: Receipt) -> tuple[Effect, Notification]:
        """What it has changed, and the notification after it. Raises TenantForbidden, TenantUnknown, and what
        `ReceiptStore.apply` raises."""
        self._tenants.require(receipt.tenant)
        return await self._store.apply(receipt)

    async def apply_requested(self, receipt: Receipt) -> tuple[Effect, Notification]:
        """Like `apply`, for the trusted publisher of a tenant, whose login decides about the tenant."""
        return await self._store.apply(receipt)
