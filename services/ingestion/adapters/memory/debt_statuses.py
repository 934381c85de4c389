"""The statuses of debts in memory (the port `DebtStatusStore`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.domain.debts.debt_status import DECIDED, InvoiceChange, StatusChange, history
from services.ingestion.domain.errors import ResourceNotFound


class MemoryDebtStatuses:
    """Of the debts in the tables."""

    def __init__(self, tables: DebtTables) -> None:
        self._tables = tables
        self._marks: set[str] = set()

    async def follow(self, events: Mapping[str, Sequence[InvoiceChange]]) -> None:
        for id_, changes in events.items():
            if id_ not in self._marks:
                self._marks.add(id_)
                for change in changes:
                    self._follow(change)

    def _follow(self, told: InvoiceChange) -> None:
        debt = self._tables.debts.get(told.debt)
        if debt is None or debt.debt_file != told.debt_file:
            return
        seen = self._tables.invoice_versions.get(debt.id, 0)
        status = told.change.status if told.version > seen and debt.status not in DECIDED else debt.status
        self._tables.debts[debt.id] = replace(debt, status=status, version=debt.version + 1)
        self._tables.invoice_versions[debt.id] = max(seen, told.version)
        self._tables.changes.setdefault(debt.id, []).append(told.change)

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        if debt_id not in self._tables.debts:
            raise ResourceNotFound("debt", debt_id)
        return history(self._tables.debts[debt_id].create_time, self._tables.changes.get(debt_id, []))
