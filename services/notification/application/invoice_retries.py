"""Trying invoices again, by hand: one, or all that a filter matches."""

from dataclasses import replace

from services.chassis.auth import principal
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.invoices import InvoiceStore
from services.notification.domain.errors import DebtFileUnknown, InvoiceNotWaiting
from services.notification.domain.invoice import Invoice, InvoiceFilter, InvoiceState

log = get_logger(__name__)


class InvoiceRetries:
    """What has failed is tried anew, with all its attempts; what waits for its next attempt has it now."""

    def __init__(self, store: InvoiceStore) -> None:
        self._store = store

    async def retry(self, debt: str) -> Invoice:
        """The invoice, due now. Raises InvoiceNotFound and InvoiceNotWaiting."""
        by = principal.current().subject
        failed = InvoiceFilter(debt=debt)
        if not await self._store.retry(failed, 1, by):
            found = await self._store.get(debt)
            if not await self._store.retry(replace(failed, state=InvoiceState.STORED), 1, by):
                raise InvoiceNotWaiting(debt, found.state)
        log.info("invoices.retried", debt=debt, by=by)
        return await self._store.get(debt)

    async def retry_many(self, wanted: InvoiceFilter, limit: int, *, dry_run: bool) -> tuple[int, bool]:
        """How many are due now (or would be), the oldest first, and whether there are more. Raises DebtFileUnknown."""
        found = await self._store.count(wanted, limit + 1)
        if not found and wanted.debt_file and not await self._store.knows_file(wanted.debt_file):
            raise DebtFileUnknown(wanted.debt_file)
        if dry_run:
            return min(found, limit), found > limit
        by = principal.current().subject
        retried = await self._store.retry(wanted, limit, by)
        log.info("invoices.retried", invoices=retried, debt_file=wanted.debt_file, by=by)
        return retried, found > limit
