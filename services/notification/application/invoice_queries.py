"""Reading invoices."""

import re
from collections.abc import Mapping, Sequence

from services.notification.application.ports.invoices import DocumentStore, InvoiceStore, Renderer, RenderFailed
from services.notification.application.ports.notifications import Position
from services.notification.domain.errors import DebtFileUnknown, InvoiceNotFound
from services.notification.domain.invoice import Invoice, InvoiceState

_FILE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""What ingestion gives its files as ids."""


class InvoiceQueries:
    """Handles queries of invoices."""

    def __init__(self, store: InvoiceStore, documents: DocumentStore, renderer: Renderer) -> None:
        self._store = store
        self._documents = documents
        self._renderer = renderer

    async def get(self, debt: str) -> Invoice:
        """Raises InvoiceNotFound."""
        return await self._store.get(debt)

    async def page(
        self, *, debt_file: str, state: InvoiceState | None, limit: int, after: Position | None
    ) -> Sequence[Invoice]:
        """Up to `limit` invoices after the position, newest first. Raises DebtFileUnknown."""
        found = await self._store.page(debt_file=debt_file, state=state, limit=limit, after=after)
        if debt_file and not found and not await self._store.knows_file(debt_file):
            raise DebtFileUnknown(debt_file)
        return found

    async def counts(self, debt_file: str) -> Mapping[InvoiceState, int]:
        """How many there are in each state, of a file or (empty) in all. A file of which no debt is known yet has none.
        Raises DebtFileUnknown for what is the id of none."""
        found = await self._store.counts(debt_file)
        if debt_file and not found and not _FILE.fullmatch(debt_file):
            raise DebtFileUnknown(debt_file)
        return found

    async def download(self, debt: str) -> bytes:
        """The PDF; one that has expired is drawn again. Raises InvoiceNotFound before it is made first, and for one
        that cannot be drawn any more; Unavailable when nothing can be drawn now."""
        invoice = await self._store.get(debt)
        place = invoice.place
        if place is None:
            why = "the PDF is not made yet" if invoice.debt.name else "the data of the debtor has been erased"
            raise InvoiceNotFound(why, metadata={"id": debt})
        content = await self._documents.get(place.object)
        if content is not None:
            return place.cut(content)
        [again] = await self._renderer.render([invoice.debt])
        if isinstance(again, RenderFailed):
            raise InvoiceNotFound(f"the PDF has expired, and cannot be drawn: {again}", metadata={"id": debt})
        return again.content
