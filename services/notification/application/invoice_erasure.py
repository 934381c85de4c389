"""Erasing the personal data of debtors: invoices, their PDFs and what was said about them."""

from collections import defaultdict
from collections.abc import Sequence

from services.notification.application.ports.invoices import DocumentStore, InvoiceErasures
from services.notification.domain.invoice import DebtorData, Erased, Place

_AT_ONCE = 20
"""Invoices at a time: each may lie in an object of its own, of megabytes."""


class InvoiceErasure:
    """The use case. What breaks off is done by the next call."""

    def __init__(self, store: InvoiceErasures, documents: DocumentStore) -> None:
        self._store, self._documents = store, documents

    async def erase(self, wanted: DebtorData) -> Erased:
        """A piece of it. Raises Unavailable."""
        return await self._store.erase(wanted, _AT_ONCE, self._overwrite)

    async def _overwrite(self, places: Sequence[Place]) -> None:
        """Overwrites PDFs within the objects that they share with others."""
        by_object: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            by_object[place.object].append(place)
        for name, within in by_object.items():
            if (content := await self._documents.get(name)) is None:
                continue  # it has expired
            blank = bytearray(content)
            for place in within:
                blank[place.offset : place.offset + place.length] = bytes(place.length)
            await self._documents.put(name, bytes(blank))
