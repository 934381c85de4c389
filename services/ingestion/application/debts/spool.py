"""Where an upload waits until all of it is here.

Nothing of a file may be registered when its header or its encoding turns out to be wrong at the last byte, when the
client breaks off, or when the same content has been processed before. So the bytes are checked and hashed as they
arrive, and kept in an unnamed temporary file: memory stays flat, and nothing of it is left after a crash.
"""

import errno
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from services.ingestion.domain.debts.errors import TooLarge
from services.ingestion.domain.debts.header import Layout, read_header
from services.ingestion.domain.debts.utf8_check import Utf8Check


class Spool:
    """The bytes of one upload. All methods block: call them on a thread."""

    def __init__(self, directory: Path | None, limit: int) -> None:
        """Raises OSError when `directory` (None: the system's) cannot be written to."""
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115 - this is a context manager
        self._limit = limit
        self._hash = hashlib.sha256()
        self._encoding = Utf8Check()
        self._start = b""
        self._layout: Layout | None = None
        self.size = 0
        """Bytes so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, piece: bytes) -> None:
        """Adds a piece. Raises HeaderInvalid, EncodingInvalid or TooLarge as soon as it can be known."""
        self.size += len(piece)
        if self.size > self._limit:
            raise TooLarge(f"the file is larger than {self._limit} bytes", limit=str(self._limit))
        self._encoding.feed(piece)
        if self._layout is None:
            self._start += piece
            self._layout = read_header(self._start, final=False)
        self._hash.update(piece)
        try:
            view = memoryview(piece)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise TooLarge("there is no room for the file now", limit="disk") from error
            raise

    def close_content(self) -> tuple[Layout, str]:
        """No more pieces: the layout, and the SHA-256 in hexadecimal. Raises as `write`."""
        self._encoding.feed(b"", final=True)
        layout = self._layout or read_header(self._start, final=True)
        assert layout is not None
        self._layout = layout
        return layout, self._hash.hexdigest()

    def blocks(self, layout: Layout, size: int) -> Iterator[tuple[bytes, bool]]:
        """What follows the header, in blocks of `size` bytes, each with whether it is the last."""
        self._file.seek(layout.size)
        left = self.size - layout.size
        while True:
            block = self._file.read(min(size, left))
            left -= len(block)
            yield block, left <= 0
            if left <= 0:
                return
