"""Where an upload waits until all of it is here.

Nothing of a file may be registered when its header or its encoding turns out to be wrong at the last byte, when the
client breaks off, or when the same content has been processed before. So the bytes are checked and hashed as they
arrive, and their text is kept in an unnamed temporary file: memory stays flat, and nothing of it is left after a crash.
"""

import errno
import hashlib
import tempfile
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from services.ingestion.application.debts.ports import WorkbookReader
from services.ingestion.domain.debts.content import ContentDecoder
from services.ingestion.domain.debts.dialect import Dialect
from services.ingestion.domain.debts.errors import TooLarge
from services.ingestion.domain.debts.header import MAX_HEADER, Layout, read_header

_PIECE: Final = 1024 * 1024
_PADDING: Final = b"\0\x1a"
"""What some systems fill the end of a file with."""


class Spool:
    """One upload: its bytes come in, its text comes out. All methods block: call them on a thread."""

    def __init__(self, directory: Path | None, limit: int, dialect: Dialect, workbooks: WorkbookReader) -> None:
        """Raises OSError when `directory` (None: the system's) cannot be written to."""
        self._directory, self._limit, self._dialect, self._workbooks = directory, limit, dialect, workbooks
        self._file = self._temporary()
        self._hash = hashlib.sha256()
        self._content = ContentDecoder(dialect.charset)
        self._start = b""
        self._layout: Layout | None = None
        self._text_size = 0
        self.size = 0
        """Bytes so far, as they came."""
        self.lines = 0
        """Lines of the text so far, which is no fewer than its rows."""

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

    def close_content(self) -> tuple[Layout, str]:
        """No more pieces: the layout, and the SHA-256 of the bytes in hexadecimal. Raises as `write`."""
        for text in self._content.feed(b"", final=True):
            self._keep(text)
        if self._content.workbook:
            self._read_workbook()
        self._trim()
        self._layout = self._layout or read_header(self._start.rstrip(_PADDING), final=True, names=self._dialect.names)
        assert self._layout is not None
        return self._layout, self._hash.hexdigest()

    @property
    def line_end(self) -> str:
        """How lines of the file end."""
        return self._content.line_end.decode()

    def blocks(self, layout: Layout, size: int) -> Iterator[tuple[bytes, bool]]:
        """What follows the header, in blocks of `size` bytes, each with whether it is the last."""
        self._file.seek(layout.size)
        left = self._text_size - layout.size
        while True:
            block = self._file.read(min(size, left))
            left -= len(block)
            yield block, left <= 0
            if left <= 0:
                return

    def _keep(self, text: bytes) -> None:
        self._text_size += len(text)
        if self._text_size > self._limit:
            raise TooLarge(f"the file is larger than {self._limit} bytes when unpacked", limit=str(self._limit))
        if not self._content.workbook:
            self.lines += text.count(b"\n")
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
        workbook, self._file = self._file, self._temporary()
        with workbook:
            self._workbooks.read(workbook, self._file, self._dialect.conventions.decimal, self._limit)
        table = self._file
        table.seek(0)
        while piece := table.read(_PIECE):
            self._text_size = table.tell()
            self.lines += piece.count(b"\n")
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

    def _temporary(self) -> FileIO:
        return tempfile.TemporaryFile(dir=self._directory, buffering=0)
