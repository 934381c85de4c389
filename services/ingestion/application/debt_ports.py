"""What the use cases of debt files need from the world."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.ingestion.domain.debts.debt_file import Counts, Debt, DebtFile, Reject
from services.ingestion.domain.debts.parser import Block


@dataclass(frozen=True, slots=True)
class Run:
    """One upload of one file. `owner` fences it: once its lease has run out, nothing of it is written any more."""

    file_id: str
    owner: str
    lease: timedelta
    dry_run: bool


class PreparedBlock(Protocol):
    """A block as the store wants it."""


class RowWriter(Protocol):
    """Takes the blocks of one file, in order."""

    def prepare(self, block: Block) -> PreparedBlock:
        """What can be done without the store; runs on a thread."""
        ...

    async def store(self, block: PreparedBlock) -> Counts:
        """Commits the block: rows, rejects, counts and events together. A debtId that is known is a duplicate when the
        content is the same and a reject (DEBT_ID_CONFLICT) otherwise; the first row of an id wins. Returns what
        became of the rows. Raises UploadBroken when the lease is lost, Unavailable when the store is away too long."""
        ...


class DebtFileStore(Protocol):
    """Stored debt files. Methods that end a file add the event that says so, unless it was a dry run."""

    async def open(self, run: Run, filename: str) -> None:
        """Records a new file in state RECEIVING."""
        ...

    async def renew(self, run: Run, received: int) -> None:
        """Renews the lease and records the bytes received. Raises UploadBroken when the lease is lost."""
        ...

    async def begin(self, run: Run, received: int, sha256: str) -> DebtFile | None:
        """All bytes are here: PROCESSING, and None. When a file with this content has been processed, this one ends as
        its repetition and is returned. Raises UploadInProgress while one is being processed. Dry runs always go on."""
        ...

    def checking(self, run: Run) -> AbstractAsyncContextManager[RowWriter]:
        """A writer that finds out what would become of the rows, keeps the rejects and registers nothing."""
        ...

    def registering(self, run: Run) -> AbstractAsyncContextManager[RowWriter]:
        """A writer that registers debts."""
        ...

    async def finish(self, run: Run) -> DebtFile:
        """COMPLETED, or COMPLETED_WITH_REJECTS."""
        ...

    async def fail(self, run: Run, error: str, rejected: int = 0) -> None:
        """FAILED; nothing happens when the file has ended or the lease is lost. `rejected`: rows found bad where
        none was registered."""
        ...

    async def fail_abandoned(self) -> int:
        """Fails the files whose lease has run out; returns how many."""
        ...

    async def get(self, file_id: str) -> DebtFile:
        """Raises ResourceNotFound."""
        ...

    async def newest(self, before: str | None, offset: int, limit: int) -> list[DebtFile]:
        """Newest first, those after the file `before`."""
        ...

    async def count(self) -> int: ...

    async def rejects(self, file_id: str, after_line: int, limit: int) -> list[Reject]:
        """By line; of the file whose result it repeats, where it does."""
        ...

    async def debt(self, debt_id: str) -> Debt:
        """Raises ResourceNotFound."""
        ...
