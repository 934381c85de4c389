"""The statuses of debts in memory (the port `DebtStatusStore`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.domain.debts.debt_file import Debt, FileState
from services.ingestion.domain.debts.debt_status import (
    DECIDED,
    WAITING,
    Decision,
    InvoiceChange,
    StatusChange,
    decided,
    history,
)
from services.ingestion.domain.debts.errors import DebtStatusRefused, VersionConflict
from services.ingestion.domain.errors import ResourceNotFound


class MemoryDebtStatuses:
    """Of the debts in the tables."""

    def __init__(self, tables: DebtTables) -> None:
        self._tables = tables
        self._marks: set[str] = set()

    async def follow(self, events: Mapping[str, Sequence[InvoiceChange]]) -> None:
        new = events.keys() - self._marks
        self._marks |= new
        told = [change for id_ in new for change in events[id_]]
        for debt_id in {debt_id for change in told if (debt_id := self._follow(change))}:
            debt = self._tables.debts[debt_id]
            self._tables.debts[debt_id] = replace(debt, version=debt.version + 1)

    def _follow(self, told: InvoiceChange) -> str:
        """The debt, where it is here."""
        debt = self._tables.debts.get(told.debt)
        if debt is None or debt.debt_file != told.debt_file:
            return ""
        seen = self._tables.invoice_versions.get(debt.id, 0)
        status = told.change.status if told.version > seen and debt.status not in DECIDED else debt.status
        self._tables.debts[debt.id] = replace(debt, status=status)
        self._tables.invoice_versions[debt.id] = max(seen, told.version)
        self._tables.changes.setdefault(debt.id, []).append(told.change)
        return debt.id

    async def decide(self, decision: Decision) -> Debt:
        debt = self._tables.debts.get(decision.debt)
        if debt is None:
            raise ResourceNotFound("debt", decision.debt)
        changes = self._tables.changes.setdefault(debt.id, [])
        status = decided(decision.status, debt.status, changes)
        if status is debt.status:
            return debt
        if decision.expected_version not in (0, debt.version):
            raise VersionConflict(debt.id, decision.expected_version, debt.version)
        if status is None:
            raise DebtStatusRefused(debt.id, decision.status.name, debt.status.name)
        entry = self._tables.files.get(debt.debt_file)
        taken_back = entry is not None and entry.file.state in {FileState.ROLLING_BACK, FileState.ROLLED_BACK}
        if taken_back and status in WAITING:
            raise DebtStatusRefused(debt.id, decision.status.name, "of a file that was rolled back")
        changes.append(StatusChange(status, self._tables.now(), decision.by, note=decision.note))
        debt = self._tables.debts[debt.id] = replace(debt, status=status, version=debt.version + 1)
        self._tables.decided.append((debt, decision.status))
        return debt

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        if debt_id not in self._tables.debts:
            raise ResourceNotFound("debt", debt_id)
        return history(self._tables.debts[debt_id].create_time, self._tables.changes.get(debt_id, []))
