"""The content of an upload as text: unpacked, in UTF-8, with lines that end with LF, as it arrives."""

import zlib
from collections.abc import Iterator
from typing import Final

from services.ingestion.domain.debts.charsets import UTF_8, CharsetDecoder
from services.ingestion.domain.debts.errors import FileFormatInvalid
from services.ingestion.domain.debts.file_formats import BOM, ENOUGH, FileFormat, format_of
from services.ingestion.domain.debts.line_ends import LineEnds

_UNPACKED: Final = 1024 * 1024
"""Bytes that are unpacked at a time."""


class ContentDecoder:
    """Feed it the pieces of a file. The format of the first bytes decides: text and packed text come out as text; a
    workbook comes out as it is, for a reader of workbooks."""

    def __init__(self, charset: str = UTF_8) -> None:
        self._charset = charset
        self._start = b""
        self._format: FileFormat | None = None
        self._gzip: _Gunzip | None = None
        self._text: CharsetDecoder | None = None
        self._lines = LineEnds()

    @property
    def workbook(self) -> bool:
        """Whether it is a workbook."""
        return self._format is FileFormat.WORKBOOK

    @property
    def line_end(self) -> bytes:
        """How the first line of the file ends."""
        return self._lines.first or b"\n"

    def feed(self, piece: bytes, *, final: bool = False) -> Iterator[bytes]:
        """What comes of the piece, in pieces of bounded size; `final`: nothing follows. Raises FileFormatInvalid and
        EncodingInvalid."""
        if self._gzip is None and self._format is None:
            self._start += piece
            if len(self._start) < ENOUGH and not final:
                return
            piece, self._start = self._start, b""
            if format_of(piece, self._charset) is FileFormat.GZIP:
                self._gzip = _Gunzip()
        if self._gzip is None:
            yield from self._unpacked(piece, final=final)
            return
        for unpacked in self._gzip.feed(piece, final=final):
            yield from self._unpacked(unpacked)
        if final:
            yield from self._unpacked(b"", final=True)

    def _unpacked(self, piece: bytes, *, final: bool = False) -> Iterator[bytes]:
        begins = False
        if self._format is None:
            self._start += piece
            if len(self._start) < ENOUGH and not final:
                return
            piece, self._start = self._start, b""
            self._format = format_of(piece, self._charset)
            if self._gzip is not None and self._format is not FileFormat.TEXT:
                raise FileFormatInvalid("gzip", f"the file packs a file of {self._format.value}: send that one")
            self._text = CharsetDecoder(UTF_8 if piece.startswith(BOM) else self._charset)
            begins = True
        if self._format is FileFormat.WORKBOOK:
            yield piece
            return
        assert self._text is not None
        text = self._text.feed(piece, final=final)
        yield self._lines.feed(text.removeprefix(BOM) if begins else text, final=final)


class _Gunzip:
    """Unpacks gzip, of one member or several, a bounded piece at a time."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._ended = False

    def feed(self, piece: bytes, *, final: bool = False) -> Iterator[bytes]:
        try:
            more = False
            while piece or more:
                if self._ended and not piece.strip(b"\0"):
                    return  # padding of a tape or a disk
                if self._member.eof:
                    self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
                unpacked = self._member.decompress(piece, _UNPACKED)
                yield unpacked
                self._ended = self._member.eof
                more = not self._ended and len(unpacked) == _UNPACKED
                piece = self._member.unused_data if self._ended else self._member.unconsumed_tail
        except zlib.error as error:
            raise FileFormatInvalid("gzip", f"the file is gzip that is damaged ({error}); send it again") from None
        if final and not self._ended:
            raise FileFormatInvalid("gzip", "the file is gzip that breaks off before its end; send it again")
