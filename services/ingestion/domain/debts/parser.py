"""Turns the lines of a debt file into rows and rejects, block by block, in memory that depends on the block alone.

What is plain is read and judged over whole columns (`csv_scan.py`, `vectorized_rules.py`); every other line goes one
by one through the exact reader and the exact rules (`csv_record.py`, `rules.py`), which alone reject. Cutting the file
into other blocks gives the same result. Every line becomes a row or a reject, except those without any text.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from services.ingestion.domain.debts import csv_record
from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.conventions import Conventions
from services.ingestion.domain.debts.csv_record import MAX_RECORD, Malformed
from services.ingestion.domain.debts.csv_scan import Flags, Ints, scan
from services.ingestion.domain.debts.debt_file import Broken, Reject
from services.ingestion.domain.debts.header import COLUMNS, OPTIONAL, Layout
from services.ingestion.domain.debts.rules import Row, RowRules, shown
from services.ingestion.domain.debts.vectorized_rules import EPOCH, PassedRows, check_rows

_TEXTS: Final = len(COLUMNS) + len(OPTIONAL)
_TOO_LONG: Final = (Broken("ROW_MALFORMED", "", f"the line is longer than {MAX_RECORD} bytes"),)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a file has been read: `offset` bytes behind the header, which end before the line `line` (0: the first
    one). `skipping`: of that line some is read and it is rejected, what is left of it is passed over."""

    offset: int = 0
    line: int = 0
    skipping: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """What became of a part of a file: good rows in no promised order, and rejects by line. `end`: where it ends."""

    rows: DebtRows
    rejects: list[Reject]
    end: Checkpoint = Checkpoint()


@dataclass(slots=True)
class _Found:
    """Lines read one by one. Texts of rows are kept in `side`, which is put behind the block."""

    side: bytearray
    bounds: list[list[int]] = field(default_factory=list[list[int]])
    values: list[tuple[int, int, int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int, int, int]])
    rejects: list[Reject] = field(default_factory=list[Reject])

    def keep(self, texts: tuple[str, ...]) -> list[int]:
        """Where the texts begin, and where the last one ends."""
        edges = [len(self.side)]
        for text in texts:
            self.side += text.encode()
            edges.append(len(self.side))
        return edges


class DebtParser:
    """Feed it what follows the header, UTF-8 with lines that end with LF, in blocks of any size."""

    def __init__(
        self,
        layout: Layout,
        conventions: Conventions | None = None,
        begin: Checkpoint | None = None,
        *,
        plain: bool = True,
    ) -> None:
        """`begin`: the end of an earlier block, which what is fed follows; the header by default. With `plain` False
        every line goes the exact way (for tests)."""
        self._layout, self._conventions, self._plain = layout, conventions or Conventions(), plain
        self._rules = RowRules(layout, self._conventions)
        self._rest = b""
        begin = begin or Checkpoint()
        self._offset = begin.offset
        self._line = begin.line or layout.lines + 1
        self._skipping = begin.skipping

    def feed(self, data: bytes, *, final: bool = False) -> Block:
        """The rows that are complete now. `final` says that nothing follows."""
        self._offset += len(data)
        block = self._rest + data
        if self._skipping:
            end = block.find(b"\n")
            self._skipping = end < 0
            self._line += end >= 0
            block = block[end + 1 :] if end >= 0 else b""
        if final and block and not block.endswith(b"\n"):
            block += b"\n"
        cut = block.rfind(b"\n") + 1
        block, self._rest = block[:cut], block[cut:]
        found = self._read(block)
        if len(self._rest) > MAX_RECORD:
            found.rejects.append(Reject(self._line, _TOO_LONG, shown(self._rest.decode("utf-8", "ignore"))))
            self._rest, self._skipping = b"", True
        return replace(found, end=Checkpoint(self._offset - len(self._rest), self._line, self._skipping))

    def _read(self, block: bytes) -> Block:
        array = np.frombuffer(block, np.uint8)
        seen = scan(array, ord(self._layout.delimiter), len(self._layout.columns))
        quick = check_rows(array, seen.field_starts, seen.field_ends, self._layout, self._conventions)
        if not self._plain:
            quick.passed[:] = False
        lines = self._line + seen.lines
        passed = np.flatnonzero(seen.plain)[quick.passed]
        exact = np.ones(len(lines), np.bool_)
        exact[passed] = False
        found = _Found(bytearray(quick.side))
        others = np.column_stack((seen.starts, seen.ends, lines))[exact]
        for start, end, line in others.tolist():
            self._one(block, start, end, line, found)
        self._line += seen.total
        return Block(_joined(block, quick, found, lines[passed], seen.starts[passed], seen.ends[passed]), found.rejects)

    def _one(self, block: bytes, start: int, end: int, line: int, found: _Found) -> None:
        text = block[start:end].decode()
        if end - start > MAX_RECORD:
            found.rejects.append(Reject(line, _TOO_LONG, shown(text)))
            return
        try:
            judged = self._rules.judge(csv_record.fields(text, self._layout.delimiter))
        except Malformed as error:
            judged = (Broken("ROW_MALFORMED", "", str(error)),)
        if isinstance(judged, Row):
            found.bounds.append(found.keep(judged.texts))
            due = judged.due_date.toordinal() - EPOCH
            found.values.append((judged.minor, judged.places, due, line, start, end))
        elif judged:
            found.rejects.append(Reject(line, judged, shown(text)))


def _joined(block: bytes, quick: PassedRows, found: _Found, lines: Ints, starts: Ints, ends: Ints) -> DebtRows:
    edges = np.array(found.bounds, np.int64).reshape(-1, _TEXTS + 1) + len(block)
    values = np.array(found.values, np.int64).reshape(-1, 6)
    passed: Flags = quick.passed

    def column(first: Ints, last: Ints) -> Ints:
        return np.concatenate((first, last))

    return DebtRows(
        np.frombuffer(block + bytes(found.side), np.uint8),
        column(quick.text_starts[passed], edges[:, :-1]),
        column(quick.text_ends[passed], edges[:, 1:]),
        column(quick.minor[passed], values[:, 0]),
        column(quick.places[passed], values[:, 1]),
        column(quick.days[passed], values[:, 2]),
        column(lines, values[:, 3]),
        column(starts, values[:, 4]),
        column(ends, values[:, 5]),
    )
