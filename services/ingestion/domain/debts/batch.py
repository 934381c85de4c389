"""Rows that keep the rules, as columns: texts stay where they are in the bytes of the file, numbers are arrays."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.ingestion.domain.debts.csv_scan import Bytes, Flags, Ints
from services.ingestion.domain.debts.debt_file import Broken, Reject
from services.ingestion.domain.debts.header import COLUMNS
from services.ingestion.domain.debts.rules import shown
from services.ingestion.domain.debts.vectorized_rules import left_aligned

_ID: Final = COLUMNS.index("debtId")


@dataclass(frozen=True, slots=True)
class DebtRows:
    """Columns of equal length. The j-th text of row i (as in `COLUMNS` and `OPTIONAL`, written as in `rules.Row`) is
    `source[starts[i, j]:ends[i, j]]`; its line in the file is `source[record_starts[i]:record_ends[i]]`, the
    `lines[i]`-th. `minor`: amount in units of its last place, of which it has `places`; `days`: due date since
    1970-01-01."""

    source: Bytes
    starts: Ints
    ends: Ints
    minor: Ints
    places: Ints
    days: Ints
    lines: Ints
    record_starts: Ints
    record_ends: Ints

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, rows: Ints | Flags) -> "DebtRows":
        """The rows chosen, in that order, over the same source."""
        return DebtRows(
            self.source,
            self.starts[rows],
            self.ends[rows],
            self.minor[rows],
            self.places[rows],
            self.days[rows],
            self.lines[rows],
            self.record_starts[rows],
            self.record_ends[rows],
        )

    def content(self, row: int) -> tuple[bytes, ...]:
        """All texts of a row: two rows are the same debt when these are equal."""
        bounds = zip(self.starts[row].tolist(), self.ends[row].tolist(), strict=True)
        return tuple(self.source[start:end].tobytes() for start, end in bounds)

    def raw(self, row: int) -> str:
        """The row as it stood in the file, for people."""
        return shown(self.source[int(self.record_starts[row]) : int(self.record_ends[row])].tobytes().decode())

    def conflict(self, row: int, first: str) -> Reject:
        """Why a row is rejected whose debtId is known with other content; `first`: where that stands."""
        message = f"is known with other content: {first} came first and stands"
        return Reject(int(self.lines[row]), (Broken("DEBT_ID_CONFLICT", COLUMNS[_ID], message),), self.raw(row))

    def ids(self) -> "npt.NDArray[np.bytes_]":
        """The debtIds."""
        matrix = left_aligned(self.source, self.starts[:, _ID], self.ends[:, _ID])
        return np.ascontiguousarray(matrix).view(f"S{matrix.shape[1]}")[:, 0]

    def by_id(self) -> "tuple[Ints, Repeats]":
        """Which rows are the first of their debtId in the file, in the order of the ids (which keeps index pages
        together), and which ones are not."""
        if not len(self):
            return np.empty(0, np.int64), Repeats(np.empty(0, np.int64), np.empty(0, np.int64))
        by_line = np.argsort(self.lines, kind="stable")
        ids = self.ids()[by_line]
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = ordered[1:] != ordered[:-1]
        rows = by_line[order]
        firsts = rows[fresh]
        return firsts, Repeats(rows[~fresh], firsts[(np.cumsum(fresh) - 1)[~fresh]])


@dataclass(frozen=True, slots=True)
class Repeats:
    """The rows `rows[i]` have the debtId that the row `firsts[i]` has had before."""

    rows: Ints
    firsts: Ints

    def __len__(self) -> int:
        return len(self.rows)
