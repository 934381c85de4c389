"""Reads one record of CSV (RFC 4180), exactly. `csv_scan.py` reads many at once and asks here about what looks odd.

A quote opens a field only as its first byte, and closes it only before a delimiter or the end of the line; a quote
inside a quoted field is doubled. Whatever breaks this costs one line: the record is given up, and reading goes on with
the next *line*, so that a quote somebody forgot swallows no good rows.
"""

import re
from dataclasses import dataclass
from typing import Final

from services.ingestion.domain.debts.header import Layout

MAX_RECORD: Final = 64 * 1024
"""Bytes of the longest record, over all its lines and without its terminator."""

_QUOTE: Final = 0x22
_QUOTED: Final = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


@dataclass(frozen=True, slots=True)
class Record:
    """`fields` in the file's order, or None with the `problem`. The record is `[start, end)`; the next one begins at
    `following`, or beyond what is known when that is None: the rest of this line is still to come."""

    fields: list[bytes] | None
    problem: str
    end: int
    following: int | None


class RecordReader:
    """Reads records of files with one layout."""

    def __init__(self, layout: Layout) -> None:
        self._delimiter, self._terminator = layout.delimiter, layout.terminator
        stops = re.escape(bytes((layout.delimiter, layout.terminator, _QUOTE)))
        self._plain = re.compile(rb"[^" + stops + rb"]*+")

    def read(self, data: bytes, start: int, *, final: bool) -> Record | None:
        """The record at `start`; None when more bytes are needed to tell. With `final`, `data` is all there is and ends
        with a terminator (where the file lacks one, the caller adds it)."""
        limit = min(len(data), start + MAX_RECORD + 2)
        whole = final or limit - start == MAX_RECORD + 2
        fields: list[bytes] = []
        at = start
        while True:
            if at < limit and data[at] == _QUOTE:
                match = _QUOTED.match(data, at + 1, limit)
                assert match is not None
                closing = match.end()
                after = closing + 1
                if after >= limit:
                    return self._given_up(data, start, limit, final=final) if whole else None
                field = data[at + 1 : closing].replace(b'""', b'"')
                if data[after] not in (self._delimiter, self._terminator):
                    if data[after] == 0x0D and self._terminator == 0x0A:
                        if after + 1 >= limit and not whole:
                            return None
                        if data[after + 1 : after + 2] == b"\n":
                            fields.append(field)
                            return self._ended(data, start, fields, after + 1)
                    return self._line(data, start, "text after a closing quote", final=final)
            else:
                match = self._plain.match(data, at, limit)
                assert match is not None
                after = match.end()
                if after >= limit:
                    return self._given_up(data, start, limit, final=final) if whole else None
                if data[after] == _QUOTE:
                    return self._line(data, start, "a quote inside an unquoted field", final=final)
                field = data[at:after]
            if data[after] == self._terminator:
                if self._terminator == 0x0A and after > at and data[after - 1] == 0x0D and data[at] != _QUOTE:
                    field = field[:-1]
                fields.append(field)
                return self._ended(data, start, fields, after)
            fields.append(field)
            at = after + 1

    def _ended(self, data: bytes, start: int, fields: list[bytes], end: int) -> Record | None:
        if end - start > MAX_RECORD:
            return self._line(data, start, f"the record is longer than {MAX_RECORD} bytes", final=True)
        return Record(fields, "", end, end + 1)

    def _given_up(self, data: bytes, start: int, limit: int, *, final: bool) -> Record | None:
        if limit < len(data) or limit - start == MAX_RECORD + 2:
            return self._line(data, start, f"the record is longer than {MAX_RECORD} bytes", final=final)
        return self._line(data, start, "a quoted field that does not end", final=final)

    def _line(self, data: bytes, start: int, problem: str, *, final: bool) -> Record | None:
        """Gives up the line at `start`."""
        end = data.find(self._terminator, start)
        if end >= 0:
            return Record(None, problem, end, end + 1)
        if final or len(data) - start > MAX_RECORD:
            return Record(None, problem, len(data), None)
        return None
