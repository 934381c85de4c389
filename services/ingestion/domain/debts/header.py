"""The header line decides how a file is read: delimiter, order of the columns, line terminator. Data is never guessed
from."""

from dataclasses import dataclass
from typing import Final

from services.ingestion.domain.debts.errors import HeaderInvalid

COLUMNS: Final = ("name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId")
"""The declared columns; rules name them like this, whatever the case in the file."""

DELIMITERS: Final = (",", ";", "\t")
MAX_HEADER: Final = 64 * 1024
BOM: Final = b"\xef\xbb\xbf"
_BY_FOLDED: Final = {name.casefold(): name for name in COLUMNS}
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read the rows. `places[i]` is where the i-th of `COLUMNS` stands in a row."""

    delimiter: int
    terminator: int
    places: tuple[int, ...]
    size: int
    """Bytes of BOM and header line with its terminator: where the rows start."""


def read_header(start: bytes, *, final: bool) -> Layout | None:
    """The layout that the first bytes of a file declare; None while the line is not complete and `final` is False.
    Names may be quoted, padded and in any case. Raises HeaderInvalid."""
    begin = len(BOM) if start.startswith(BOM) else 0
    ends = [at for at in (start.find(b"\n", begin), start.find(b"\r", begin)) if at >= 0]
    if (not ends or start[min(ends) :] == b"\r") and not final and len(start) <= MAX_HEADER:
        return None
    end = min(ends, default=len(start))
    if end - begin > MAX_HEADER:
        raise HeaderInvalid(
            f"the first line is longer than {MAX_HEADER} bytes", missing=COLUMNS, seen=_shown(start, begin, _SHOWN)
        )
    if start[end : end + 2] == b"\r\n":
        terminator, size = 0x0A, end + 2
    elif start[end : end + 1] == b"\r":
        terminator, size = 0x0D, end + 1
    else:
        terminator, size = 0x0A, min(end + 1, len(start))
    line = start[begin:end].decode("utf-8", "replace")
    delimiter = max(DELIMITERS, key=lambda sign: len({_name(part) for part in line.split(sign)} & set(COLUMNS)))
    names = [_name(part) for part in line.split(delimiter)]
    _check(names, _shown(start, begin, end))
    return Layout(ord(delimiter), terminator, tuple(names.index(column) for column in COLUMNS), size)


def _name(part: str) -> str:
    """The declared name that `part` means, or its own text."""
    text = part.strip(" \t")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].strip(" \t")
    return _BY_FOLDED.get(text.casefold(), text)


def _check(names: list[str], seen: str) -> None:
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        rule = f"the first line must name the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}"
        raise HeaderInvalid(rule, missing=missing, seen=seen)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise HeaderInvalid(f"columns named more than once: {', '.join(twice)[:_SHOWN]}", missing=(), seen=seen)
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise HeaderInvalid(f"unknown columns: {', '.join(unknown)[:_SHOWN]}", missing=(), seen=seen)


def _shown(start: bytes, begin: int, end: int) -> str:
    return start[begin:end][:_SHOWN].decode("utf-8", "replace")
