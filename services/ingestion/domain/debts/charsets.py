"""Text in any of the usual encodings to UTF-8, as it arrives and in constant memory."""

import codecs
from typing import Final

from services.ingestion.domain.debts.errors import ConventionsInvalid, EncodingInvalid

UTF_8: Final = "utf-8"
_SINGLE_BYTES: Final = (
    *(f"iso8859-{number}" for number in range(1, 17) if number != 12),
    *(f"cp{number}" for number in (437, 850, 852, 855, 857, 858, 860, 861, 862, 863, 865, 866, 869, 874)),
    *(f"cp{number}" for number in range(1250, 1259)),
    "ascii", "koi8-r", "koi8-u", "mac-roman", "tis-620",
)  # fmt: skip
_OTHERS: Final = (
    UTF_8, "utf-16", "utf-16-le", "utf-16-be", "gb2312", "gbk", "gb18030", "big5", "big5hkscs", "euc_jp", "shift_jis",
    "cp932", "iso2022_jp", "euc_kr", "cp949",
)  # fmt: skip
_TAKEN: Final = {codecs.lookup(name).name for name in (*_SINGLE_BYTES, *_OTHERS)}


def charset_named(name: str) -> str:
    """The charset that is meant by one of its names, such as `windows-1252`; UTF-8 by none. Raises
    ConventionsInvalid."""
    if not name:
        return UTF_8
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = ""
    if found == "utf-8-sig":
        return UTF_8
    if found not in _TAKEN:
        rule = f"the charset {name[:40]!r} is not known; take utf-8, windows-1252, iso-8859-1, utf-16 or the like"
        raise ConventionsInvalid("charset", rule, name)
    return found


class CharsetDecoder:
    """Feed it the content in pieces of any size. UTF-8 is only looked at."""

    def __init__(self, charset: str, advice: str = "") -> None:
        """`advice`: what to do about content that is in another encoding."""
        self._charset, self._advice = charset, advice
        self._decoder = codecs.getincrementaldecoder(charset)("strict")
        self._pending = b""
        self._offset = 0
        self._lines = 1
        self._after_return = False

    def feed(self, piece: bytes, *, final: bool = False) -> bytes:
        """The piece as UTF-8. Raises EncodingInvalid with the first byte that is wrong; with `final`, also for a
        character that is cut off at the end. In UTF-8 that character may come out as far as it is known."""
        try:
            if self._charset != UTF_8:
                out = self._decoder.decode(piece, final).encode()
            else:
                if not piece.isascii() or self._pending:
                    self._decoder.decode(piece, final)
                out = piece
        except UnicodeDecodeError as error:
            # The decoder reports positions in what it had held back, followed by `piece`.
            at = error.start - len(self._pending)
            line = self._lines + (self._count(piece[:at]) if at > 0 else 0)
            wrong: bytes = error.object
            raise EncodingInvalid(
                wrong[error.start], self._offset + at, line, self._charset.upper(), self._advice
            ) from None
        except UnicodeError:
            advice = "it has no byte order mark: say utf-16le or utf-16be"
            raise EncodingInvalid(piece[0], self._offset, 1, self._charset.upper(), advice) from None
        self._pending = self._decoder.getstate()[0]
        self._lines += self._count(out)
        self._after_return = out.endswith(b"\r") if out else self._after_return
        self._offset += len(piece)
        return out

    def _count(self, piece: bytes) -> int:
        split = self._after_return and piece.startswith(b"\n")
        returns = piece.count(b"\r")
        return piece.count(b"\n") + returns - (piece.count(b"\r\n") if returns else 0) - split
