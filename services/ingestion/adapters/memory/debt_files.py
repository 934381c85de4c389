"""Debt files in memory, with the same rules as the stored ones: for tests and experiments."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from services.ingestion.adapters.memory.debt_tables import DebtTables, Entry
from services.ingestion.adapters.memory.debt_writers import MemoryDebtChecker, MemoryDebtWriter
from services.ingestion.application.debts.ports import ABANDONED, Progress, RowWriter, Run, TextForm
from services.ingestion.domain.debts.debt_file import (
    Counts,
    DebtFile,
    FileFilter,
    FileState,
    Reject,
)
from services.ingestion.domain.debts.errors import DebtFileState, LeaseLost, UploadBroken, UploadInProgress
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound


class MemoryDebtFiles:
    """The port `DebtFileStore`. What it stores, and the events, are in `tables`; `event_debts`: debts in one event."""

    def __init__(self, tables: DebtTables | None = None, *, event_debts: int = 1000) -> None:
        self.tables = tables or DebtTables()
        self._event_debts = event_debts

    async def open(self, run: Run, filename: str, *, resumable: bool = False) -> None:
        if (entry := self.tables.files.get(run.file_id)) is not None:
            over = entry.lease_until < self.tables.now() and not entry.file.state.final
            alike = (entry.file.dry_run, entry.dialect) == (run.dry_run, run.dialect)
            if not (over and alike and entry.resumable and resumable):
                raise ResourceExists("debt file", run.file_id)
            entry.file = replace(entry.file, state=FileState.RECEIVING)
            entry.owner, entry.lease_until = run.owner, self.tables.now() + run.lease
            return
        file = DebtFile(
            id=run.file_id,
            filename=filename,
            dry_run=run.dry_run,
            state=FileState.RECEIVING,
            bytes=0,
            counts=Counts(),
            sha256="",
            error="",
            identical_to="",
            create_time=self.tables.now(),
            complete_time=None,
            issuer=run.issuer,
        )
        lease_until = self.tables.now() + run.lease
        self.tables.files[run.file_id] = Entry(file, run.owner, lease_until, run.dialect, resumable)

    async def renew(self, run: Run, received: int) -> None:
        entry = self.tables.mine(run)
        entry.file = replace(entry.file, bytes=received)

    async def begin(
        self, run: Run, received: int, sha256: str, form: TextForm, *, resumable: bool = False
    ) -> DebtFile | None:
        for entry in self._abandoned():
            if (entry.file.sha256, entry.dialect) == (sha256, run.dialect) and entry.file.id != run.file_id:
                self.tables.end(entry, FileState.FAILED, ABANDONED)
        entry = self.tables.mine(run)
        if entry.progress.blocks and entry.file.sha256 != sha256:
            message = "its content is not what was registered of it in part; send it as a new file"
            raise UploadBroken(message, debt_file=run.file_id)
        if not run.dry_run:
            if (other := self._same(run, sha256, FileState.PROCESSING)) is not None:
                raise UploadInProgress(other.id)
            earlier = self._same(run, sha256, FileState.COMPLETED, FileState.COMPLETED_WITH_REJECTS)
        else:
            earlier = None
        entry.form = form
        entry.resumable = entry.resumable or resumable
        entry.file = replace(entry.file, state=FileState.PROCESSING, bytes=received, sha256=sha256)
        if earlier is not None:
            entry.file = replace(
                entry.file,
                state=earlier.state,
                counts=earlier.counts,
                identical_to=earlier.id,
                complete_time=self.tables.now(),
            )
            return entry.file
        return None

    def _same(self, run: Run, sha256: str, *states: FileState) -> DebtFile | None:
        """The oldest file with this content that was processed itself."""
        return next(
            (
                entry.file
                for entry in self.tables.files.values()
                if (entry.file.sha256, entry.file.dry_run, entry.file.identical_to) == (sha256, False, "")
                and entry.file.state in states
                and entry.dialect == run.dialect
                and (entry.file.state is FileState.PROCESSING or self._since_rollbacks(entry.file))
            ),
            None,
        )

    def _since_rollbacks(self, file: DebtFile) -> bool:
        back = [one.file for one in self.tables.files.values() if one.file.state is FileState.ROLLED_BACK]
        return all(_ended(file) > _ended(one) for one in back)

    @asynccontextmanager
    async def checking(self, run: Run) -> AsyncGenerator[RowWriter]:
        with suppress(LeaseLost):
            entry = self.tables.mine(run, processing=True)
            if not entry.progress.blocks:
                entry.rejects.clear()
                entry.file = replace(entry.file, counts=Counts())
        yield MemoryDebtChecker(self.tables, run)

    @asynccontextmanager
    async def registering(self, run: Run, begun: Progress | None = None) -> AsyncGenerator[RowWriter]:
        yield MemoryDebtWriter(self.tables, run, self._event_debts)

    async def take_over(self, run: Run) -> bool:
        entry = self.tables.files[run.file_id]
        if entry.file.state is not FileState.PROCESSING:
            return False
        entry.owner, entry.lease_until = run.owner, self.tables.now() + run.lease
        return True

    async def release(self, run: Run) -> None:
        with suppress(LeaseLost):
            self.tables.mine(run).lease_until = self.tables.now()

    async def progress(self, run: Run) -> Progress:
        entry = self._entry(run.file_id)
        return replace(entry.progress, counts=entry.file.counts)

    async def finish(self, run: Run) -> DebtFile:
        entry = self.tables.mine(run)
        some = entry.file.counts.rejected > 0
        return self.tables.end(entry, FileState.COMPLETED_WITH_REJECTS if some else FileState.COMPLETED)

    async def fail(self, run: Run, error: str, received: int = 0, rejected: int = 0) -> None:
        with suppress(LeaseLost):
            entry = self.tables.mine(run)
            counts = entry.file.counts
            counts = replace(counts, rejected=max(counts.rejected, rejected))
            entry.file = replace(entry.file, counts=counts, bytes=max(entry.file.bytes, received))
            self.tables.end(entry, FileState.FAILED, error)

    async def fail_abandoned(self, resumable_after: timedelta) -> int:
        long_ago = self.tables.now() - resumable_after
        abandoned = [one for one in self._abandoned() if not one.resumable or one.lease_until < long_ago]
        for entry in abandoned:
            self.tables.end(entry, FileState.FAILED, ABANDONED)
        return len(abandoned)

    def _abandoned(self) -> list[Entry]:
        now = self.tables.now()
        return [one for one in self.tables.files.values() if not one.file.state.final and one.lease_until < now]

    async def get(self, file_id: str) -> DebtFile:
        return self._entry(file_id).file

    async def cancel(self, file_id: str, error: str) -> DebtFile:
        entry = self._entry(file_id)
        if not entry.file.state.final:
            return self.tables.end(entry, FileState.CANCELLED, error)
        if entry.file.state is not FileState.CANCELLED:
            raise DebtFileState("the file cannot be cancelled", file_id, entry.file.state.value)
        return entry.file

    async def rolling_back(self, file_id: str) -> None:
        entry = self._entry(file_id)
        if entry.file.state.final and entry.file.state is not FileState.ROLLED_BACK:
            entry.file = replace(entry.file, state=FileState.ROLLING_BACK)

    async def rolled_back(self, file_id: str) -> DebtFile:
        entry = self._entry(file_id)
        if entry.file.state is FileState.ROLLED_BACK:
            return entry.file
        left = sum(debt.debt_file == file_id for debt in self.tables.debts.values())
        entry.file = replace(entry.file, kept=left)
        return self.tables.end(entry, FileState.ROLLED_BACK)

    async def newest(self, wanted: FileFilter, before: str | None, offset: int, limit: int) -> list[DebtFile]:
        files = [file for file in self._wanted(wanted) if before is None or file.id < before]
        return sorted(files, key=lambda file: file.id, reverse=True)[offset : offset + limit]

    async def count(self, wanted: FileFilter) -> int:
        return len(self._wanted(wanted))

    def _wanted(self, wanted: FileFilter) -> list[DebtFile]:
        return [
            entry.file
            for entry in self.tables.files.values()
            if (not wanted.states or entry.file.state in wanted.states)
            and (wanted.since is None or entry.file.create_time >= wanted.since)
            and (wanted.until is None or entry.file.create_time < wanted.until)
            and wanted.filename.lower() in entry.file.filename.lower()
        ]

    async def rejects(self, file_id: str, after_line: int, limit: int) -> list[Reject]:
        entry = self._entry(file_id)
        kept = self._entry(entry.file.identical_to or file_id).rejects
        return [kept[line] for line in sorted(kept) if line > after_line][:limit]

    async def reject_reasons(self, file_id: str) -> list[tuple[str, int]]:
        entry = self._entry(file_id)
        kept = self._entry(entry.file.identical_to or file_id).rejects.values()
        counts = Counter(reject.broken[0].reason for reject in kept)
        return sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))

    async def form(self, file_id: str) -> TextForm:
        entry = self._entry(file_id)
        return self._entry(entry.file.identical_to or file_id).form

    def _entry(self, file_id: str) -> Entry:
        if file_id not in self.tables.files:
            raise ResourceNotFound("debt file", file_id)
        return self.tables.files[file_id]


def _ended(file: DebtFile) -> datetime:
    assert file.complete_time is not None
    return file.complete_time
