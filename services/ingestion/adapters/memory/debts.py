"""Registered debts in memory (the port `DebtStore`)."""

from collections.abc import Sequence
from dataclasses import replace

from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.domain.debts.debt_file import Debt, DebtFilter
from services.ingestion.domain.debts.debt_status import ROLLBACK, DebtStatus, StatusChange
from services.ingestion.domain.errors import ResourceNotFound

_FINAL = (DebtStatus.MAILED, DebtStatus.PAID)


class MemoryDebts:
    """Those that `MemoryDebtFiles` registers in the tables."""

    def __init__(self, tables: DebtTables) -> None:
        self._tables = tables

    async def debt(self, debt_id: str) -> Debt:
        if debt_id not in self._tables.debts:
            raise ResourceNotFound("debt", debt_id)
        return self._tables.debts[debt_id]

    async def debts_of_file(self, wanted: DebtFilter, after_line: int, limit: int) -> list[Debt]:
        found = [debt for debt in self._debts(wanted) if debt.debt_file == wanted.debt_file and debt.line > after_line]
        return sorted(found, key=lambda debt: debt.line)[:limit]

    async def debts(self, wanted: DebtFilter, after_id: str, limit: int) -> list[Debt]:
        return sorted((debt for debt in self._debts(wanted) if debt.id > after_id), key=lambda debt: debt.id)[:limit]

    def _debts(self, wanted: DebtFilter) -> list[Debt]:
        return [
            debt
            for debt in self._tables.debts.values()
            if (not wanted.statuses or debt.status in wanted.statuses)
            and (wanted.due_from is None or debt.due_date >= wanted.due_from)
            and (wanted.due_to is None or debt.due_date <= wanted.due_to)
        ]

    async def mailed(self, debts: Sequence[str]) -> None:
        for debt_id in debts:
            debt = self._tables.debts.get(debt_id)
            if debt is not None and self._may_go(debt):
                status = debt.status if debt.status is DebtStatus.CANCELLED else DebtStatus.MAILED
                self._tables.debts[debt_id] = replace(debt, status=status, version=debt.version + 1)
                change = StatusChange(DebtStatus.MAILED, self._tables.now(), event=ROLLBACK)
                self._tables.changes.setdefault(debt_id, []).append(change)

    def _may_go(self, debt: Debt) -> bool:
        changes = self._tables.changes.get(debt.id, [])
        return debt.status not in _FINAL and all(one.event != ROLLBACK for one in changes)

    async def remove_debts(self, file_id: str, limit: int) -> int:
        entry = self._tables.files[file_id]
        of_file = [debt for debt in self._tables.debts.values() if debt.debt_file == file_id]
        gone = [debt.id for debt in of_file if self._may_go(debt)][:limit]
        for debt_id in gone:
            del self._tables.debts[debt_id]
            self._tables.changes.pop(debt_id, None)
            self._tables.invoice_versions.pop(debt_id, None)
        entry.file = replace(entry.file, rolled_back=entry.file.rolled_back + len(gone))
        return len(gone)
