"""Turns the bytes of a debt file into rows and rejects, block by block, in memory that depends on the block alone.

What is plain is read and judged over whole columns (`csv_scan.py`, `vectorized_rules.py`); every other record goes one
by one through the exact reader and the exact rules (`csv_record.py`, `rules.py`), which alone reject. Cutting the file
into other blocks gives the same result.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.csv_record import MAX_RECORD, RecordReader
from services.ingestion.domain.debts.csv_scan import Ints, scan
from services.ingestion.domain.debts.debt_file import Reject
from services.ingestion.domain.debts.header import Layout
from services.ingestion.domain.debts.rules import Row, check, shown
from services.ingestion.domain.debts.vectorized_rules import check_rows

_EPOCH: Final = date(1970, 1, 1).toordinal()
_MAX_SCANS: Final = 16
"""Scans of one block; with more broken records than this in it, the rest of the block is read one by one."""


@dataclass(frozen=True, slots=True)
class Block:
    """What became of a part of a file: good rows in no promised order, and rejects by line."""

    rows: DebtRows
    rejects: list[Reject]


@dataclass(slots=True)
class _Found:
    """Rows read one by one. Their texts are kept in `side`, which is put behind the block."""

    side: bytearray = field(default_factory=bytearray)
    bounds: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])
    values: list[tuple[int, int, int, int, int]] = field(default_factory=list[tuple[int, int, int, int, int]])
    rejects: list[Reject] = field(default_factory=list[Reject])

    def keep(self, text: bytes) -> tuple[int, int]:
        start = len(self.side)
        self.side += text
        return start, len(self.side)


class DebtParser:
    """Feed it what follows the header, in blocks of any size."""

    def __init__(self, layout: Layout, *, plain: bool = True) -> None:
        """With `plain` False every record goes the exact way (for tests)."""
        self._layout, self._plain = layout, plain
        self._reader = RecordReader(layout)
        self._terminator = bytes((layout.terminator,))
        self._rest = b""
        self._line = 2
        self._skipping = False

    def feed(self, data: bytes, *, final: bool = False) -> Block:
        """The rows that are complete now. `final` says that nothing follows."""
        block = self._rest + data
        start = 0
        if self._skipping:
            end = block.find(self._terminator)
            start = end + 1 if end >= 0 else len(block)
            self._line += end >= 0
            self._skipping = end < 0
        if final and len(block) > start and not block.endswith(self._terminator):
            block += self._terminator
        found, scanned = _Found(), list[DebtRows]()
        scans = 0
        while start < len(block):
            if self._plain and scans < _MAX_SCANS:
                scans += 1
                start, more = self._scan(block, start, found, scanned)
                if not (more or final or len(block) - start > MAX_RECORD):
                    break
            if start < len(block):
                following = self._one(block, start, found, final=final)
                if following is None:
                    break
                start = following
        self._rest = block[start:]
        found.rejects.sort(key=lambda reject: reject.line)
        return Block(_joined(block, scanned, found), found.rejects)

    def _scan(self, block: bytes, start: int, found: _Found, scanned: list[DebtRows]) -> tuple[int, bool]:
        """Reads on from `start`; returns where it ended, and whether the record there is broken."""
        array = np.frombuffer(block, np.uint8)[start:]
        seen = scan(array, self._layout)
        plain = np.flatnonzero(seen.plain)
        quick = check_rows(array, seen.field_starts, seen.field_ends, self._layout)
        lines = self._line + seen.lines
        passed = plain[quick.passed]
        rows = DebtRows(
            array,
            quick.text_starts[quick.passed] + start,
            quick.text_ends[quick.passed] + start,
            quick.cents[quick.passed],
            quick.days[quick.passed],
            lines[passed],
            seen.starts[passed] + start,
            seen.ends[passed] + start,
        )
        for row in np.flatnonzero(~quick.canonical[quick.passed]).tolist():
            # Behind the block and the texts of the rows read one by one: shifted when they are joined.
            rows.starts[row, 3], rows.ends[row, 3] = (
                len(block) + bound for bound in found.keep(_amount(int(rows.cents[row])))
            )
        scanned.append(rows)
        exact = np.ones(len(seen.starts), np.bool_)
        exact[passed] = False
        first_line = self._line
        for at, line in zip((seen.starts[exact] + start).tolist(), seen.lines[exact].tolist(), strict=True):
            self._line = first_line + line
            self._one(block, at, found, final=True)
        self._line = first_line + seen.lines_done
        return start + seen.stop, seen.odd

    def _one(self, block: bytes, start: int, found: _Found, *, final: bool) -> int | None:
        """Reads one record; returns where the next one begins, None when more bytes are needed."""
        record = self._reader.read(block, start, final=final)
        if record is None:
            return None
        line = self._line
        following = len(block) if record.following is None else record.following
        self._skipping = record.following is None
        self._line += block.count(self._terminator, start, following)
        if record.fields is None:
            reject = Reject(line, "ROW_MALFORMED", "", record.problem, shown(block[start : record.end]))
            found.rejects.append(reject)
        elif block[start : record.end] not in self._blank:
            self._judge(block, start, record.end, record.fields, line, found)
        return following

    @property
    def _blank(self) -> tuple[bytes, ...]:
        return (b"", b"\r") if self._terminator == b"\n" else (b"",)

    def _judge(self, block: bytes, start: int, end: int, fields: list[bytes], line: int, found: _Found) -> None:
        row = check(fields, self._layout)
        if not isinstance(row, Row):
            found.rejects.append(Reject(line, row.reason, row.column, row.message, shown(block[start:end])))
            return
        texts = (row.name, row.government_id, row.email, "", row.due_date.isoformat(), row.debt_id)
        amount = _amount(row.cents)
        bounds = [found.keep(text.encode() if text else amount) for text in texts]
        found.bounds.append(tuple(bound for pair in bounds for bound in pair))
        found.values.append((row.cents, row.due_date.toordinal() - _EPOCH, line, start, end))


def _joined(block: bytes, scanned: list[DebtRows], found: _Found) -> DebtRows:
    source = np.frombuffer(block + bytes(found.side), np.uint8)
    bounds = np.array(found.bounds, np.int64).reshape(-1, 6, 2) + len(block)
    values = np.array(found.values, np.int64).reshape(-1, 5)

    def column(parts: list[Ints], last: Ints) -> Ints:
        return np.concatenate((*parts, last))

    return DebtRows(
        source,
        column([rows.starts for rows in scanned], bounds[:, :, 0]),
        column([rows.ends for rows in scanned], bounds[:, :, 1]),
        column([rows.cents for rows in scanned], values[:, 0]),
        column([rows.days for rows in scanned], values[:, 1]),
        column([rows.lines for rows in scanned], values[:, 2]),
        column([rows.record_starts for rows in scanned], values[:, 3]),
        column([rows.record_ends for rows in scanned], values[:, 4]),
    )


def _amount(cents: int) -> bytes:
    return b"%d.%02d" % divmod(cents, 100)
