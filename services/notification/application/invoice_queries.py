"""Reading invoices."""

from collections.abc import Mapping, Sequence

from services.notification.application.ports.invoices import DocumentStore, InvoiceStore
from services.notification.application.ports.notifications import Position
from services.notification.domain.errors import DebtFileUnknown, InvoiceNotFound
from services.notification.domain.invoice import Invoice, InvoiceState


class InvoiceQueries:
    """Handles queries of invoices."""

    def __init__(self, store: InvoiceStore, documents: DocumentStore) -> None:
        self._store = store
        self._documents = documents

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
        """How many there are in each state, of a file or (empty) in all. A file of which no debt is known has none."""
        return await self._store.counts(debt_file)

    async def download(self, debt: str) -> bytes:
        """The PDF. Raises InvoiceNotFound before it is made and after it has expired."""
        place = (await self._store.get(debt)).place
        content = None if place is None else await self._documents.get(place.object)
        if place is None or content is None:
            raise InvoiceNotFound("the PDF is not made yet, or has expired", metadata={"id": debt})
        return content[place.offset : place.offset + place.length]
