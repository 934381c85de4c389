"""Reads one line of CSV (RFC 4180), exactly. `csv_scan.py` reads many at once, and asks here about what looks odd.

A quote opens a field only as its first byte, and closes it only before a delimiter or the end of the line; a quote
inside a quoted field is doubled. No column may hold a line break, so a quoted field ends with its line at the latest: a
quote that somebody forgot costs its own row and no other.
"""

import re
from typing import Final

MAX_RECORD: Final = 64 * 1024
"""Bytes of the longest line, without its end."""

_QUOTED: Final = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')


class Malformed(ValueError):
    """A line whose quotes are wrong; the message says how."""


def fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line without its end. Raises Malformed."""
    if '"' not in line:
        return line.split(delimiter)
    return _fields(line, delimiter, strict=True)


def parts(line: str, delimiter: str) -> list[str]:
    """The fields of a line, whatever its quotes: those that break the rules are signs like all others."""
    return _fields(line, delimiter, strict=False)


def _fields(line: str, delimiter: str, *, strict: bool) -> list[str]:
    found: list[str] = []
    at = 0
    while True:
        quoted = _QUOTED.match(line, at)
        if quoted and (quoted.end() == len(line) or line.startswith(delimiter, quoted.end())):
            found.append(quoted[1].replace('""', '"'))
            end = quoted.end()
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            field = line[at:end]
            if strict and '"' in field:
                raise Malformed(_problem(line, at, quoted))
            found.append(field)
        if end == len(line):
            return found
        at = end + 1


def _problem(line: str, at: int, quoted: re.Match[str] | None) -> str:
    if quoted:
        return "text after a closing quote"
    if line.startswith('"', at):
        return "a quoted field that does not end in its line"
    return "a quote inside an unquoted field"
