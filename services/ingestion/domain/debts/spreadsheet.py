"""CSV that is safe to open in a spreadsheet."""

from collections.abc import Iterable
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def line(cells: Iterable[str]) -> bytes:
    """One CSV line (RFC 4180, CRLF, UTF-8). A cell that a spreadsheet would take for a formula starts with `'`."""
    return (",".join(_cell(cell) for cell in cells) + "\r\n").encode()


def _cell(text: str) -> str:
    safe = f"'{text}" if text.startswith(_FORMULA) else text
    return '"' + safe.replace('"', '""') + '"' if any(sign in safe for sign in ',";\t\r\n') else safe
