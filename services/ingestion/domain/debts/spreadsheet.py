"""CSV that is safe to open in a spreadsheet."""

import re
from collections.abc import Iterable
from typing import Final

BOM: Final = b"\xef\xbb\xbf"
"""Without it spreadsheets take UTF-8 for something else."""

_FORMULA: Final = re.compile("'*(?:[\\s\ufeff\u200b]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
"""What a spreadsheet takes for a formula, also in full width and behind blanks, and what was guarded already."""


def line(cells: Iterable[str], delimiter: str = ",", end: str = "\r\n") -> bytes:
    """One line of CSV (RFC 4180, UTF-8). A cell that a spreadsheet would take for a formula starts with `'`."""
    return (delimiter.join(_cell(cell, delimiter) for cell in cells) + end).encode()


def unguarded(cell: str) -> str:
    """The cell as it was before `line` guarded it."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def _cell(text: str, delimiter: str) -> str:
    safe = f"'{text}" if _FORMULA.match(text) else text
    odd = any(sign in safe for sign in (delimiter, '"', ",", ";", "\t", "\r", "\n"))
    return '"' + safe.replace('"', '""') + '"' if odd else safe
