"""Checks bytes for UTF-8 as they arrive, in constant memory."""

import codecs

from services.ingestion.domain.debts.errors import EncodingInvalid


class Utf8Check:
    """Feed it the content in pieces of any size. Lines end with LF, CRLF or CR."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._pending = 0
        self._offset = 0
        self._lines = 1
        self._after_cr = False

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        """Raises EncodingInvalid with the first byte that is not UTF-8; with `final`, also for a character that is cut
        off at the end."""
        if not (piece.isascii() and not self._pending):
            try:
                self._decoder.decode(piece, final)
            except UnicodeDecodeError as error:
                # The decoder reports positions in what it had held back, followed by `piece`.
                at = error.start - self._pending
                held: bytes = error.object
                line = self._lines + (self._count(piece[:at]) if at > 0 else 0)
                raise EncodingInvalid(held[error.start], self._offset + at, line) from None
            self._pending = len(self._decoder.getstate()[0])
        self._lines += self._count(piece)
        self._after_cr = piece.endswith(b"\r") if piece else self._after_cr
        self._offset += len(piece)

    def _count(self, piece: bytes) -> int:
        split = self._after_cr and piece.startswith(b"\n")
        returns = piece.count(b"\r")
        return piece.count(b"\n") + returns - (piece.count(b"\r\n") if returns else 0) - split
