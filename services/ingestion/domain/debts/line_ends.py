"""Lines as they arrive, each to end with LF: files of other systems, and files that went through several, mix them."""

import re
from typing import Final

_LONGEST_RUN: Final = 64 * 1024
_RUN: Final = re.compile(rb"\r+(\n?)")


class LineEnds:
    """Feed it the content in pieces of any size. A line ends with LF, with CR, or with any number of CR and one LF
    (what becomes of CRLF when it is converted once more)."""

    def __init__(self) -> None:
        self._returns = 0
        self.first: bytes | None = None
        """How the first line ended: LF, CRLF or CR; None while none has."""

    def feed(self, piece: bytes, *, final: bool = False) -> bytes:
        """The content so far with LF for every end of a line, without what is not decided yet."""
        if self._returns:
            piece = b"\r" * self._returns + piece
            self._returns = 0
        if b"\r" in piece and not final:
            kept = piece.rstrip(b"\r")
            if len(piece) - len(kept) <= _LONGEST_RUN:
                self._returns = len(piece) - len(kept)
                piece = kept
        if self.first is None and (found := re.search(rb"\r*\n|\r", piece)):
            self.first = found[0] if len(found[0]) == 1 else b"\r\n"
        if b"\r" not in piece:
            return piece
        piece = piece.replace(b"\r\n", b"\n")
        return _RUN.sub(_ends, piece) if b"\r" in piece else piece


def _ends(run: re.Match[bytes]) -> bytes:
    return b"\n" if run[1] else b"\n" * len(run[0])
