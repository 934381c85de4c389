"""The header line decides how a file is read: its delimiter and the order of its columns. Nothing is guessed from
data."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from services.ingestion.domain.debts import csv_record, spreadsheet, texts
from services.ingestion.domain.debts.errors import HeaderInvalid

COLUMNS: Final = ("name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId")
"""The columns that every file has; rules name them like this, whatever the case in the file."""

OPTIONAL: Final = ("currency", "language")
"""Columns that a file may have."""

REJECT_COLUMNS: Final = ("rejectLine", "rejectReason")
"""Columns of a download of rejects, which are read over when the file is sent again."""

DELIMITERS: Final = (",", ";", "\t")
MAX_HEADER: Final = 64 * 1024
UNNAMED: Final = ""
OTHER: Final = "*"
"""A column that is read over."""

_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_SEPARATORS: Final = (*DELIMITERS, "|")
_BLANK: Final = " \t,;|"
_AROUND: Final = f"{texts.EDGES}\r\n\f\v"
"""Left out around a name; a byte order mark may be there twice."""
_SHOWN: Final = 200
_TAB: Final = "\N{SYMBOL FOR HORIZONTAL TABULATION}"
"""Tabs between columns can be seen in a message."""


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What a profile says of the columns: `names` has names of the file and the column that each of them is, `others`
    whether the file may have columns beside."""

    names: Mapping[str, str] = field(default_factory=dict[str, str])
    others: bool = False

    def alike(self) -> str:
        """A name that another one is the same as, whatever the case; empty where there is none."""
        seen: set[str] = set()
        return next((name for name in self.names if _folded(name) in seen or seen.add(_folded(name))), "")

    def column(self, name: str) -> str:
        """The column that a name of the file means: one of ours, UNNAMED, OTHER, or the name itself."""
        folded = _folded(name)
        if folded in (known := {_folded(key): column for key, column in self.names.items()}):
            return known[folded]
        ours = _BY_FOLDED.get(folded)
        if ours and not (self.others and ours in self.names.values()):
            return ours
        return OTHER if self.others and name else name


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the rows. `columns[i]` is what the i-th field of a row is; `size` the bytes, and `lines` the lines,
    up to the first row; `header` the header line itself."""

    delimiter: str
    columns: tuple[str, ...]
    size: int
    lines: int
    header: str

    def place(self, column: str) -> int | None:
        """Where a column stands in a row."""
        return self.columns.index(column) if column in self.columns else None

    @property
    def mended(self) -> bool:
        """Whether the file is a download of rejects."""
        return REJECT_COLUMNS[1] in self.columns


def read_header(start: bytes, *, final: bool, names: ColumnNames | None = None) -> Layout | None:
    """The layout that the first bytes of a file declare (UTF-8, lines end with LF); None while the line is not complete
    and `final` is False. Empty lines before it, and the line `sep=;` of a spreadsheet, are read over. Names may be
    quoted, padded and in any case. Raises HeaderInvalid."""
    names = names or ColumnNames()
    at, lines = 0, 0
    separator = ""
    while True:
        end = start.find(b"\n", at)
        if end < 0:
            if len(start) - at > MAX_HEADER:
                rule = f"the first line is longer than {MAX_HEADER} bytes"
                raise HeaderInvalid(rule, missing=COLUMNS, seen=_shown(start[at:]))
            if not final:
                return None
            end = len(start)
        line = start[at:end].decode("utf-8", "replace")
        at, lines = min(end + 1, len(start)), lines + 1
        if (said := _SEPARATOR_LINE.fullmatch(line)) and not separator and said[1] in _SEPARATORS:
            separator = said[1]
        elif line.strip(_BLANK) or (final and at == len(start)):
            break
        elif at > MAX_HEADER:
            raise HeaderInvalid("the file begins with empty lines", missing=COLUMNS, seen="")
    if not line.strip(_BLANK):
        raise HeaderInvalid("the file is empty: its first line must name the columns", missing=COLUMNS, seen=line)
    delimiter = separator or max(DELIMITERS, key=lambda sign: len(set(_columns(line, sign, names)) & set(COLUMNS)))
    columns = _columns(line, delimiter, names)
    _check(line, columns, separated=bool(separator))
    return Layout(delimiter, tuple(columns), at, lines, line)


def _columns(line: str, delimiter: str, names: ColumnNames) -> list[str]:
    return [_column(_name(part), names) for part in csv_record.parts(line, delimiter)]


def _column(name: str, names: ColumnNames) -> str:
    found = names.column(name)
    # A download of rejects guards names like `@` from spreadsheets.
    return found if found != name else names.column(spreadsheet.unguarded(name))


def _name(part: str) -> str:
    text = part.strip(_AROUND)
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].strip()
    return text


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()


def _check(line: str, columns: list[str], *, separated: bool) -> None:
    seen = line[:_SHOWN].replace("\t", _TAB)
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        rule = f"the first line must name the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        if not separated and line.count("|") >= len(COLUMNS) - 1:
            rule = "the columns are separated by '|', which only a first line sep=| declares; " + rule
        rule += "; a profile says what each is called in files that name them otherwise"
        raise HeaderInvalid(rule, missing=missing, seen=seen)
    named = [column for column in columns if column not in {UNNAMED, OTHER}]
    twice = sorted({column for column in named if named.count(column) > 1})
    if twice:
        raise HeaderInvalid(f"columns named more than once: {', '.join(twice)[:_SHOWN]}", missing=(), seen=seen)
    unknown = [column for column in named if column not in _KNOWN]
    if unknown:
        rule = f"unknown columns: {', '.join(unknown)[:_SHOWN]}"
        rule += "; a profile can say what they are, or that others are read over (otherColumns)"
        raise HeaderInvalid(rule, missing=(), seen=seen)


def _shown(line: bytes) -> str:
    return line[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN]


_KNOWN: Final = {*COLUMNS, *OPTIONAL, *REJECT_COLUMNS}
_BY_FOLDED: Final = {name.casefold(): name for name in _KNOWN}
