"""What the use cases of debt files need from the world."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import FileIO
from typing import Final, Protocol, TypeAlias

from services.ingestion.domain.debts.debt_file import Counts, Debt, DebtFile, DebtFilter, FileFilter, Reject
from services.ingestion.domain.debts.debt_status import Decision, InvoiceChange, StatusChange
from services.ingestion.domain.debts.dialect import Declared, Profile
from services.ingestion.domain.debts.erasure import ErasedCounts, Erasure, Wanted
from services.ingestion.domain.debts.mendable_rejects import TextForm as TextForm
from services.ingestion.domain.debts.parser import Block, Checkpoint

ABANDONED: Final = (
    "the service that took the file in died; send the file again: rows that are registered are not registered twice"
)
"""The error of a file whose lease ran out."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one file. `owner` fences it: once the file has been failed because its lease had run out, or another
    run has taken it over, this one writes nothing any more."""

    file_id: str
    owner: str
    lease: timedelta
    dry_run: bool
    dialect: str = ""
    """The key of the dialect that the file is read in."""
    issuer: str = ""
    """Whom its debts are owed to."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What of a file is registered: so many blocks, up to `end`, with these counts."""

    blocks: int = 0
    counts: Counts = field(default_factory=Counts)
    end: Checkpoint = field(default_factory=Checkpoint)


class WorkbookReader(Protocol):
    """Reads workbooks (xlsx)."""

    def read(self, workbook: FileIO, table: FileIO, decimal: str, limit: int) -> None:
        """Writes the first visible sheet to `table` as CSV: UTF-8, a line for every row of it, numbers with this
        decimal sign. Blocks. Raises FileFormatInvalid for what is no workbook, and TooLarge for what needs more memory
        than it may, or more than `limit` bytes of text."""
        ...


class PreparedBlock(Protocol):
    """A block as the store wants it."""


class RowWriter(Protocol):
    """Takes the blocks of one file, in order. One that checks takes one at a time, one that registers may be given the
    next one while a block is being stored; it commits them in order."""

    def prepare(self, block: Block) -> PreparedBlock:
        """What can be done without the store; runs on a thread."""
        ...

    async def store(self, block: PreparedBlock) -> Counts:
        """Commits the block: rows, rejects, counts, events and how far the file is read, together. A debtId that is
        known is a duplicate when the content is the same and a reject (DEBT_ID_CONFLICT) otherwise; the first row of an
        id wins, in a block the one with the lowest line. Returns what became of the rows. Renews the lease. Raises
        LeaseLost, and Unavailable when the store is away too long: nothing of the block stays then."""
        ...


class InvoiceCancellation(Protocol):
    """Whoever makes invoices of debts."""

    def cancel(self, file_id: str) -> AsyncGenerator[Sequence[str]]:
        """Takes the invoices of the file back, and lets no debt of it lead to another one; then the ids of debts whose
        invoice has gone out, or may have, in pieces. Raises Unavailable: part of it may be done then, asking again does
        the rest."""
        ...


class DebtFileStore(Protocol):
    """Stored debt files. `finish`, `fail` and `fail_abandoned` add, with what they store, the event that says how the
    file ended, unless it was a dry run."""

    async def open(self, run: Run, filename: str, *, resumable: bool = False) -> None:
        """Records a new file in state RECEIVING. `resumable`: its content can be read again. Such a file may be opened
        again, when its lease has run out: it is RECEIVING then and keeps what is registered of it. Raises
        ResourceExists."""
        ...

    async def renew(self, run: Run, received: int) -> None:
        """Renews the lease and records the bytes received. Raises LeaseLost."""
        ...

    async def begin(
        self, run: Run, received: int, sha256: str, form: TextForm, *, resumable: bool = False
    ) -> DebtFile | None:
        """All bytes are here: PROCESSING, and None; `resumable` from now on as well. When a file with this content, in
        the dialect of the run, has been processed, this one ends as its repetition, which is no event, and is returned.
        Dry runs always go on, and are repeated by nothing. Fails abandoned files of this content first. Raises
        UploadInProgress while such a file is being processed, UploadBroken when other content of this file is
        registered in part, and LeaseLost."""
        ...

    async def take_over(self, run: Run) -> bool:
        """The file is this run's from now on; False when it is not PROCESSING any more. Whoever has run it until now
        loses it."""
        ...

    async def release(self, run: Run) -> None:
        """The lease runs out now: another run may take the file over. Nothing happens when it is lost."""
        ...

    async def progress(self, run: Run) -> Progress:
        """What of the file is registered, also by earlier runs."""
        ...

    def checking(self, run: Run) -> AbstractAsyncContextManager[RowWriter]:
        """A writer that finds out what would become of the rows, keeps the rejects and registers nothing. It records
        the counts of dry runs only: a file that is registered afterwards gets its counts then. What an earlier check
        has left goes."""
        ...

    def registering(self, run: Run, begun: Progress | None = None) -> AbstractAsyncContextManager[RowWriter]:
        """A writer that registers debts, behind what is `begun` if anything, and leaves one event or more for those of
        each block. Rejects that a check of the file has kept already are not kept twice."""
        ...

    async def finish(self, run: Run) -> DebtFile:
        """COMPLETED, or COMPLETED_WITH_REJECTS. Raises LeaseLost, also for a file that has ended."""
        ...

    async def fail(self, run: Run, error: str, received: int = 0, rejected: int = 0) -> None:
        """FAILED; nothing happens when the file has ended or the lease is lost. `received`: bytes that came;
        `rejected`: rows found bad where none was registered."""
        ...

    async def fail_abandoned(self, resumable_after: timedelta) -> int:
        """Fails the files whose lease has run out, those that are resumable when it has for so long; returns how
        many."""
        ...

    async def cancel(self, file_id: str, error: str) -> DebtFile:
        """CANCELLED, so that its run writes nothing more; one that is CANCELLED already is returned as it is. Raises
        ResourceNotFound, and DebtFileState when it has ended otherwise."""
        ...

    async def rolling_back(self, file_id: str) -> None:
        """ROLLING_BACK, from any state in which it has ended."""
        ...

    async def rolled_back(self, file_id: str) -> DebtFile:
        """ROLLED_BACK, with the debts that are left as `kept`. What was processed before is no answer to the same
        content any more, for its debts may be gone. Raises ResourceNotFound."""
        ...

    async def get(self, file_id: str) -> DebtFile:
        """Raises ResourceNotFound."""
        ...

    async def newest(self, wanted: FileFilter, before: str | None, offset: int, limit: int) -> list[DebtFile]:
        """Newest first: those older than the file `before` (None: all), without the first `offset` of them."""
        ...

    async def count(self, wanted: FileFilter) -> int:
        """How many files the filter lets through."""
        ...

    async def rejects(self, file_id: str, after_line: int, limit: int) -> list[Reject]:
        """By line; of the file whose result it repeats, where it does. Raises ResourceNotFound."""
        ...

    async def reject_reasons(self, file_id: str) -> list[tuple[str, int]]:
        """The first reasons of its rejects with how many rows have each, the most frequent first; of the file whose
        result it repeats, where it does. Raises ResourceNotFound."""
        ...

    async def form(self, file_id: str) -> TextForm:
        """Of the file whose result it repeats, where it does. Empty where a file has none yet. Raises
        ResourceNotFound."""
        ...


class DebtStore(Protocol):
    """Registered debts."""

    async def debt(self, debt_id: str) -> Debt:
        """Raises ResourceNotFound."""
        ...

    async def debts_of_file(self, wanted: DebtFilter, after_line: int, limit: int) -> list[Debt]:
        """Those of the file of the filter, by line; none where there is no such file."""
        ...

    async def debts(self, wanted: DebtFilter, after_id: str, limit: int) -> list[Debt]:
        """Those of all files, by id in the order of its bytes."""
        ...

    async def mailed(self, debts: Sequence[str]) -> None:
        """A rollback leaves these debts: they are MAILED, unless a person has decided about them."""
        ...

    async def remove_debts(self, file_id: str, limit: int) -> int:
        """Removes debts of the file that are neither MAILED nor PAID, and not left by `mailed`, at most so many, and
        counts them; 0: none is left. Their ids are free then."""
        ...


class DebtStatusStore(Protocol):
    """What has become of debts."""

    async def follow(self, events: Mapping[str, Sequence[InvoiceChange]]) -> None:
        """The debts have the statuses that the changes of their invoices give them, in whatever order they come; those
        that a person has decided about keep theirs. Each event (its id) has its effect once. What is said of debts
        that are not here, or are of another file by now, is passed over."""
        ...

    async def decide(self, decision: Decision) -> Debt:
        """The debt as it is then, with the event. A status that it has is no change, whatever the version. Raises
        ResourceNotFound, VersionConflict and DebtStatusRefused."""
        ...

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        """Oldest first. Raises ResourceNotFound."""
        ...


class InvoiceErasure(Protocol):
    """Whoever keeps invoices of debts."""

    def erase(self, wanted: Wanted, debts: Mapping[str, str]) -> AsyncGenerator[ErasedCounts]:
        """Erases what invoices hold of these debtors, and of these debts (id and file), of which no invoice need be
        there yet; what was erased, in pieces. Raises Unavailable: asking again does the rest."""
        ...


RejectKey: TypeAlias = tuple[str, int]
"""File and line."""


@dataclass(frozen=True, slots=True)
class RejectPiece:
    """Rejected rows that hold what is looked for, and behind which one to go on (None: there are no others)."""

    rows: Sequence[RejectKey]
    next: RejectKey | None


class DebtErasureStore(Protocol):
    """Erasures of personal data. What they have erased is counted with them."""

    async def begin(self, wanted: Wanted, by: str, note: str) -> Erasure:
        """Records it, to be gone on with until it is complete."""
        ...

    async def get(self, erasure_id: str) -> Erasure:
        """Raises ResourceNotFound."""
        ...

    async def newest(self, before: str | None, limit: int) -> Sequence[Erasure]:
        """Newest first, those older than this one (None: all)."""
        ...

    async def running(self, limit: int) -> Sequence[Erasure]:
        """Those that are not complete, the oldest first."""
        ...

    async def debts(self, wanted: Wanted, limit: int) -> Mapping[str, str]:
        """Debts of these debtors whose data is not erased yet, and their files."""
        ...

    async def erase_debts(self, erasure: Erasure, debts: Sequence[str]) -> None:
        """Name, government id, e-mail address and language go, and the notes of people in the history. Those that are
        neither MAILED nor decided about are CANCELLED."""
        ...

    async def rejects(self, erasure_id: str, after: RejectKey | None) -> RejectPiece:
        """Rejected rows behind this one (None: from the first) that hold, as a field, what names the debtors."""
        ...

    async def erase_rejects(self, erasure_id: str, rejects: Sequence[RejectKey]) -> None:
        """Their text goes; lines and reasons stay."""
        ...

    async def count(self, erasure_id: str, counts: ErasedCounts) -> None:
        """Adds what others have erased."""
        ...

    async def complete(self, erasure_id: str) -> Erasure:
        """It is over, and forgets who the debtors were."""
        ...


class DebtRetentionStore(Protocol):
    """What is kept of debt files."""

    async def remove_rejects(self, before: datetime, limit: int) -> int | None:
        """Removes rejected rows of one file that has ended before then, at most so many; how many. None when no such
        file has any."""
        ...

    async def remove_files(self, before: datetime, limit: int) -> int:
        """Removes files that have ended before then, at most so many, whose rejected rows are gone; how many. Their
        debts stay."""
        ...


class ProfileStore(Protocol):
    """Stored profiles of debt files."""

    async def create(self, profile_id: str, declared: Declared) -> Profile:
        """Raises AlreadyExists when it exists with other content; with the same, it is returned as it is."""
        ...

    async def get(self, profile_id: str) -> Profile:
        """Raises ResourceNotFound."""
        ...

    async def after(self, profile_id: str, limit: int) -> list[Profile]:
        """By id, those behind this one."""
        ...

    async def delete(self, profile_id: str) -> None:
        """Raises ResourceNotFound."""
        ...
