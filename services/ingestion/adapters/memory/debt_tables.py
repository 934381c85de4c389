"""What is stored of debt files in memory. Nothing here waits, so whatever happens between two awaits is one commit."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from services.ingestion.application.debts.ports import Progress, Run, TextForm
from services.ingestion.domain.debts.debt_file import Counts, Debt, DebtFile, FileState, Reject
from services.ingestion.domain.debts.debt_status import DebtStatus, StatusChange
from services.ingestion.domain.debts.errors import LeaseLost


@dataclass(slots=True)
class Entry:
    """A file, who may write it until when, and its rejects by line."""

    file: DebtFile
    owner: str
    lease_until: datetime
    dialect: str
    resumable: bool = False
    progress: Progress = field(default_factory=Progress)
    form: TextForm = field(default_factory=lambda: TextForm("", "", ""))
    rejects: dict[int, Reject] = field(default_factory=dict[int, Reject])

    def add(self, counts: Counts, rejects: list[Reject]) -> None:
        """Adds what became of a block. A reject that is there already stays."""
        self.file = replace(self.file, counts=self.file.counts + counts)
        for reject in rejects:
            self.rejects.setdefault(reject.line, reject)


@dataclass(slots=True)
class DebtTables:
    """Files and debts by id; by debt the changes of its status, and the version of its invoice that was heard of last.
    `registered`, `decided` and `completed` are the events: batches of debts, debts as they are once a person has said
    so, and files that ended."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    files: dict[str, Entry] = field(default_factory=dict[str, Entry])
    debts: dict[str, Debt] = field(default_factory=dict[str, Debt])
    changes: dict[str, list[StatusChange]] = field(default_factory=dict[str, list[StatusChange]])
    decided: list[tuple[Debt, DebtStatus]] = field(default_factory=list[tuple[Debt, DebtStatus]])
    invoice_versions: dict[str, int] = field(default_factory=dict[str, int])
    registered: list[tuple[Debt, ...]] = field(default_factory=list[tuple[Debt, ...]])
    completed: list[DebtFile] = field(default_factory=list[DebtFile])

    def mine(self, run: Run, *, processing: bool = False) -> Entry:
        """The file of the run as long as it may write (`processing`: rows), its lease renewed. Raises LeaseLost."""
        entry = self.files.get(run.file_id)
        if (
            entry is None
            or entry.owner != run.owner
            or entry.file.state.final
            or (processing and entry.file.state is not FileState.PROCESSING)
        ):
            raise LeaseLost(run.file_id)
        entry.lease_until = self.now() + run.lease
        return entry

    def end(self, entry: Entry, state: FileState, error: str = "") -> DebtFile:
        """Ends the file, with the event."""
        entry.file = replace(entry.file, state=state, error=error, complete_time=self.now())
        if not entry.file.dry_run:
            self.completed.append(entry.file)
        return entry.file
