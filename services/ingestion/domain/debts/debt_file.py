"""A debt file as a resource, its rejects, and a registered debt."""

import enum
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from services.ingestion.domain.debts.debt_status import DebtStatus


class FileState(enum.Enum):
    """Where a file is on its way."""

    EXPECTED = "EXPECTED"
    RECEIVING = "RECEIVING"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_REJECTS = "COMPLETED_WITH_REJECTS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLING_BACK = "ROLLING_BACK"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        under_way = {FileState.EXPECTED, FileState.RECEIVING, FileState.PROCESSING, FileState.ROLLING_BACK}
        return self not in under_way


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of rows. `rows` is the sum of the others."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0

    @property
    def rows(self) -> int:
        """Rows read, without header and blank lines."""
        return self.accepted + self.duplicates + self.rejected

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.accepted + other.accepted, self.duplicates + other.duplicates, self.rejected + other.rejected
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtFile:
    """An uploaded file. `sha256` is hexadecimal and empty until all bytes are here; `identical_to` is the earlier file
    with the same content whose result this one repeats (else empty). `rolled_back`, `kept`: debts that a rollback has
    removed, and left because their invoices are out. `rejects_removed`: the time to keep the rejected rows is over.
    `issuer`: whom the debts are owed to; empty for the deployment's first."""

    id: str
    filename: str
    dry_run: bool
    state: FileState
    bytes: int
    counts: Counts
    sha256: str
    error: str
    identical_to: str
    create_time: datetime
    complete_time: datetime | None
    rolled_back: int = 0
    kept: int = 0
    rejects_removed: bool = False
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which files a list has. `states`: sorted, none for all. `since`, `until`: uploaded from, and before. `filename`:
    a part of the name, whatever the case."""

    states: tuple[FileState, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    filename: str = ""


@dataclass(frozen=True, slots=True)
class DebtFilter:
    """Which debts a list has: of one file (empty: all), in one of these states (sorted; none: all), due from and to
    (both inclusive)."""

    debt_file: str = ""
    statuses: tuple[DebtStatus, ...] = ()
    due_from: date | None = None
    due_to: date | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a row breaks: the reason as in the contract, the column (empty: the whole row), and the rule for
    people."""

    reason: str
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was not accepted: the line it stands in (from 1, with the header), the rules that it breaks in the
    order of the columns, and at most 4,096 characters of it."""

    line: int
    broken: tuple[Broken, ...]
    raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A registered debt, of a line of a file. `currency` and `language` are empty where neither the file nor the
    deployment names one."""

    id: str
    name: str
    government_id: str
    email: str
    amount: Decimal
    due_date: date
    currency: str
    language: str
    debt_file: str
    line: int
    create_time: datetime
    status: DebtStatus = DebtStatus.REGISTERED
    version: int = 1
