"""Where an upload waits until all of it is here.

Nothing of a file may be registered when its header or its encoding turns out to be wrong at the last byte, when the
client breaks off, or when the same content has been processed before. So the bytes are checked and hashed as they
arrive, and their text is kept in a file: memory stays flat. Once all of it is here the file may be kept, so that
another process can go on with it.
"""

import errno
import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import FileIO
from types import TracebackType
from typing import Any, Final, Self

from services.ingestion.application.debts.ports import WorkbookReader
from services.ingestion.application.debts.spool_directory import SpoolDirectory
from services.ingestion.domain.debts.content import ContentDecoder
from services.ingestion.domain.debts.dialect import Dialect
from services.ingestion.domain.debts.errors import TooLarge
from services.ingestion.domain.debts.header import MAX_HEADER, Layout, read_header

_PIECE: Final = 1024 * 1024
_PADDING: Final = b"\0\x1a"
"""What some systems fill the end of a file with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledText:
    """The text of a file, all of it. `received`, `sha256`: of the bytes as they came; `size`: bytes of text; `lines`:
    of the text, which is no fewer than its rows. All methods block: call them on a thread."""

    file: FileIO
    layout: Layout
    line_end: str
    sha256: str
    received: int
    size: int
    lines: int

    def blocks(self, size: int, offset: int = 0) -> Iterator[tuple[bytes, bool]]:
        """What follows the header, from `offset` bytes behind it, in blocks of `size` bytes, each with whether it is
        the last."""
        at = self.layout.size + offset
        self.file.seek(at)
        while True:
            block = self.file.read(min(size, self.size - at))
            at += len(block)
            yield block, at >= self.size
            if at >= self.size:
                return

    def note(self) -> dict[str, Any]:
        """All but the file, for JSON."""
        return {
            "layout": asdict(self.layout),
            "line_end": self.line_end,
            "sha256": self.sha256,
            "received": self.received,
            "size": self.size,
            "lines": self.lines,
        }

    @classmethod
    def noted(cls, file: FileIO, note: dict[str, Any]) -> Self:
        """The text in a file of which this was noted."""
        said: dict[str, Any] = dict(note["layout"])
        layout = Layout(columns=tuple(said.pop("columns")), **said)
        return cls(file=file, layout=layout, **{name: value for name, value in note.items() if name != "layout"})


class Spool:
    """One upload: its bytes come in, its text comes out. All methods block: call them on a thread."""

    def __init__(self, directory: SpoolDirectory, limit: int, dialect: Dialect, workbooks: WorkbookReader) -> None:
        """Raises OSError when the directory cannot be written to."""
        self._directory, self._limit, self._dialect, self._workbooks = directory, limit, dialect, workbooks
        self._file = directory.temporary()
        self._hash = hashlib.sha256()
        self._content = ContentDecoder(dialect.charset)
        self._start = b""
        self._layout: Layout | None = None
        self._text_size = self._lines = 0
        self.size = 0
        """Bytes so far, as they came."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        """Adds a piece. Raises FileFormatInvalid, HeaderInvalid, EncodingInvalid or TooLarge as soon as it can be
        known."""
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"the file is larger than {self._limit} bytes", limit=str(self._limit))
        self._hash.update(piece)
        for text in self._content.feed(piece):
            self._keep(text)

    def close_content(self) -> SpooledText:
        """No more pieces: the text, whose file is closed with this. Raises as `write`."""
        for text in self._content.feed(b"", final=True):
            self._keep(text)
        if self._content.workbook:
            self._read_workbook()
        self._trim()
        layout = self._layout or read_header(self._start.rstrip(_PADDING), final=True, names=self._dialect.names)
        assert layout is not None
        return SpooledText(
            file=self._file,
            layout=layout,
            line_end=self._content.line_end.decode(),
            sha256=self._hash.hexdigest(),
            received=self.size,
            size=self._text_size,
            lines=self._lines,
        )

    def _keep(self, text: bytes) -> None:
        self._text_size += len(text)
        if self._text_size > self._limit:
            raise TooLarge(f"the file is larger than {self._limit} bytes when unpacked", limit=str(self._limit))
        if not self._content.workbook:
            self._lines += text.count(b"\n")
            self._look_for_header(text)
        try:
            view = memoryview(text)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise TooLarge("there is no room for the file now", limit="disk") from error
            raise

    def _look_for_header(self, text: bytes) -> None:
        if self._layout is None:
            self._start += text
            self._layout = read_header(self._start, final=False, names=self._dialect.names)
            if self._layout is not None:
                self._start = b""

    def _read_workbook(self) -> None:
        """Puts the text of the workbook in the place of its bytes."""
        workbook, self._file = self._file, self._directory.temporary()
        with workbook:
            self._workbooks.read(workbook, self._file, self._dialect.conventions.decimal, self._limit)
        table = self._file
        table.seek(0)
        while piece := table.read(_PIECE):
            self._text_size = table.tell()
            self._lines += piece.count(b"\n")
            self._look_for_header(piece[: MAX_HEADER + 1])

    def _trim(self) -> None:
        """Leaves out what fills up the end of the file."""
        while self._text_size:
            begin = max(0, self._text_size - _PIECE)
            self._file.seek(begin)
            last = self._file.read(self._text_size - begin)
            kept = last.rstrip(_PADDING)
            self._text_size = begin + len(kept)
            if kept:
                return
