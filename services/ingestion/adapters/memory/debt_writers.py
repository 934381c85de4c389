"""Writers of debt rows in memory (the port `RowWriter`)."""

import asyncio
from collections import ChainMap
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Final

import numpy as np

from services.chassis.errors import Aborted
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.application.debts.ports import PreparedBlock, Progress, Run
from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.debt_file import Counts, Debt, FileState, Reject
from services.ingestion.domain.debts.parser import Block

_ATTEMPTS: Final = 40
_PAUSE: Final = 0.05
_EPOCH: Final = date(1970, 1, 1).toordinal()


class MemoryDebtChecker:
    """Keeps the ids of the file for itself, and its rejects in the tables."""

    def __init__(self, tables: DebtTables, run: Run) -> None:
        self._tables, self._run = tables, run
        self._seen: dict[str, Debt] = {}

    def prepare(self, block: Block) -> PreparedBlock:
        """Nothing to prepare."""
        return block

    async def store(self, block: PreparedBlock) -> Counts:
        """See the port."""
        assert isinstance(block, Block)
        entry = self._tables.mine(self._run, processing=True)
        new, conflicts = _judged(block.rows, self._run, self._tables, ChainMap(self._seen, self._tables.debts))
        self._seen |= new
        counts, rejects = _outcome(block, new, conflicts)
        entry.add(counts if self._run.dry_run else Counts(), rejects)
        return counts


class MemoryDebtWriter:
    """Registers debts; `event_debts` at most go into one event."""

    def __init__(self, tables: DebtTables, run: Run, event_debts: int) -> None:
        self._tables, self._run, self._event_debts = tables, run, event_debts
        self._turn = asyncio.Lock()

    def prepare(self, block: Block) -> PreparedBlock:
        """Nothing to prepare."""
        return block

    async def store(self, block: PreparedBlock) -> Counts:
        """See the port."""
        assert isinstance(block, Block)
        async with self._turn:
            for _ in range(_ATTEMPTS):
                if not self._going(block):
                    return self._store(block)
                await asyncio.sleep(_PAUSE)
        raise Aborted("debts of the file are just being taken back with another one")

    def _going(self, block: Block) -> bool:
        """Whether a debt of the block is just being taken back."""
        ids = (text[5].decode() for text in map(block.rows.content, range(len(block.rows))))
        holders = {self._tables.debts[one].debt_file for one in ids if one in self._tables.debts}
        return any(self._tables.files[one].file.state is FileState.ROLLING_BACK for one in holders)

    def _store(self, block: Block) -> Counts:
        entry = self._tables.mine(self._run, processing=True)
        new, conflicts = _judged(block.rows, self._run, self._tables, self._tables.debts)
        self._tables.debts |= new
        left = iter(new.values())
        while batch := tuple(islice(left, self._event_debts)):
            self._tables.registered.append(batch)
        counts, rejects = _outcome(block, new, conflicts)
        entry.add(counts, rejects)
        entry.progress = Progress(entry.progress.blocks + 1, end=block.end)
        return counts


def _judged(
    rows: DebtRows, run: Run, tables: DebtTables, known: Mapping[str, Debt]
) -> tuple[dict[str, Debt], list[Reject]]:
    """The debts that are new, by id, and the rejects of those whose id is known with other content."""
    new: dict[str, Debt] = {}
    conflicts: list[Reject] = []
    rows = rows.take(np.argsort(rows.lines, kind="stable"))
    for row in range(len(rows)):
        name, government_id, email, amount, _, debt_id, currency, language = (
            text.decode() for text in rows.content(row)
        )
        debt = Debt(
            id=debt_id,
            name=name,
            government_id=government_id,
            email=email,
            amount=Decimal(amount),
            due_date=date.fromordinal(_EPOCH + int(rows.days[row])),
            currency=currency,
            language=language,
            debt_file=run.file_id,
            line=int(rows.lines[row]),
            create_time=tables.now(),
        )
        holder = known.get(debt_id) or new.setdefault(debt_id, debt)
        if not _same(holder, debt):
            file = "this file" if holder.debt_file == run.file_id else f"debt file {holder.debt_file}"
            conflicts.append(rows.conflict(row, f"line {holder.line} of {file}"))
    return new, conflicts


def _same(holder: Debt, debt: Debt) -> bool:
    return _content(holder) == _content(debt) and holder.currency in {debt.currency, ""}


def _content(debt: Debt) -> tuple[object, ...]:
    return debt.name, debt.government_id, debt.email, debt.amount, debt.due_date, debt.language


def _outcome(block: Block, new: dict[str, Debt], conflicts: list[Reject]) -> tuple[Counts, list[Reject]]:
    duplicates = len(block.rows) - len(new) - len(conflicts)
    rejects = block.rejects + conflicts
    return Counts(len(new), duplicates, len(rejects)), rejects
