"""Rejects as a file of the same form as their source, to be mended and sent again."""

from dataclasses import dataclass

from services.ingestion.domain.debts import csv_record, spreadsheet
from services.ingestion.domain.debts.debt_file import Reject
from services.ingestion.domain.debts.header import DELIMITERS, REJECT_COLUMNS


@dataclass(frozen=True, slots=True)
class TextForm:
    """What the text of a file looks like: its header line, the sign between columns, and how lines end."""

    header: str
    delimiter: str
    line_end: str


class MendableRejects:
    """The lines of the file: the source's own columns, separators and ends of lines, behind the line and the reasons of
    each row. They are safe to open in a spreadsheet."""

    def __init__(self, form: TextForm) -> None:
        self._delimiter, self._end = form.delimiter or ",", form.line_end or "\r\n"
        self._header = csv_record.parts(form.header, self._delimiter)
        own = {column.casefold() for column in REJECT_COLUMNS}
        # A file that was mended once has these columns already.
        self._own = {place for place, name in enumerate(self._header) if name.strip().casefold() in own}

    def head(self) -> bytes:
        """Byte order mark and header, and before it the separator where a reader would not find it."""
        separator = f"sep={self._delimiter}{self._end}".encode() if self._delimiter not in DELIMITERS else b""
        return spreadsheet.BOM + separator + self._written(REJECT_COLUMNS, self._header)

    def line(self, reject: Reject) -> bytes:
        """A row. One with broken quotes is shown as its parts between the separators."""
        told = (f"{broken.column}: {broken.message}" if broken.column else broken.message for broken in reject.broken)
        parts = csv_record.parts(reject.raw, self._delimiter)
        if self._own:
            parts = [spreadsheet.unguarded(part) for part in parts]
        return self._written((str(reject.line), "; ".join(told)), parts)

    def _written(self, front: tuple[str, ...], parts: list[str]) -> bytes:
        kept = [part for place, part in enumerate(parts) if place not in self._own]
        return spreadsheet.line((*front, *kept), self._delimiter, self._end)
