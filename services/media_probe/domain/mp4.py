"""Finds the header of an MP4 file without reading its media: a walk over the top-level boxes.

The index (`moov`) may stand before the media (`mdat`) or after them, gigabytes further on. The walk is a generator that
asks for ranges and is sent their bytes; it does no I/O. ISO/IEC 14496-12, 4.2.

The index of a long recording is large, and nearly all of it are tables of samples, which tell nothing about the
picture: a large index is read without them, and no further than its first video track.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from services.media_probe.domain.failure import Failure, ProbeFailed

MAX_BOXES = 64
MAX_FTYP = 4096
MAX_INDEX_BOXES = 1024
AFTER_MEDIA = 32 * 1024
"""How much to fetch after a jump over the media: most often it is the whole index."""
WHOLE_INDEX = 16 * 1024
"""An index that is no larger is read as it is."""
_AFTER_TABLES: Final = 8 * 1024
_Boxes: TypeAlias = Mapping[bytes, "_Boxes"]
_LEAF: Final[_Boxes] = {}
_TRACK: Final[_Boxes] = {
    b"tkhd": _LEAF,
    b"edts": _LEAF,
    b"mdia": {
        b"mdhd": _LEAF,
        b"hdlr": _LEAF,
        b"minf": {b"vmhd": _LEAF, b"stbl": {b"stsd": _LEAF, b"stts": _LEAF}},
    },
}
"""What tells about a picture, its rate and its duration."""
_ENOUGH: Final = frozenset((b"tkhd", b"mdhd", b"hdlr", b"stsd", b"stts"))
"""Behind these nothing else is looked for."""


@dataclass(frozen=True, slots=True)
class Want:
    """A range: `length` bytes at `offset`, at the end of the file fewer. `ahead`: as many more may come with them, for
    they will probably be wanted next."""

    offset: int
    length: int
    ahead: int = 0


def find_header(max_index: int) -> Generator[Want, bytes, bytes]:
    """Asks for ranges and returns `ftyp` + `moov`, which to a demuxer is a whole MP4 file without media. A large `moov`
    has only what tells about the first video track.

    Raises ProbeFailed: TRUNCATED when the file ends before its index does, NOT_MEDIA when the boxes make no sense,
    BUDGET_EXCEEDED when what is needed of the index is larger than `max_index` bytes or hidden behind too many boxes,
    UNSUPPORTED when it has tracks, and none of video.
    """
    offset, file_type, ahead = 0, b"", 0
    for _ in range(MAX_BOXES):
        head = yield Want(offset, 16, ahead)
        if len(head) < 8:
            raise ProbeFailed(Failure.TRUNCATED, "the file ends before its index (moov)")
        kind, header = head[4:8], 8
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            if len(head) < 16:
                raise ProbeFailed(Failure.TRUNCATED, "the file ends before its index (moov)")
            size, header = int.from_bytes(head[8:16], "big"), 16
        to_end = size == 0
        if (size < header and not to_end) or offset + size >= 1 << 62:
            raise ProbeFailed(Failure.NOT_MEDIA, "the boxes of the file make no sense")
        if kind == b"moov":
            if size > WHOLE_INDEX and (track := (yield from _Index(offset + size, max_index).read(offset + header))):
                return file_type + track
            index = yield Want(offset, max_index if to_end else _within(size, max_index))
            if not to_end and len(index) < size:
                raise ProbeFailed(Failure.TRUNCATED, "the file ends inside its index (moov)")
            return file_type + index
        if to_end:
            raise ProbeFailed(Failure.TRUNCATED, "the media reach to the end of the file: it has no index (moov)")
        if kind == b"ftyp" and size <= MAX_FTYP:
            file_type = yield Want(offset, size)
        ahead = AFTER_MEDIA if kind == b"mdat" else 0
        offset += size
    raise ProbeFailed(Failure.BUDGET_EXCEEDED, f"no index (moov) among the first {MAX_BOXES} boxes")


def _within(size: int, most: int) -> int:
    if size > most:
        raise ProbeFailed(Failure.BUDGET_EXCEEDED, f"the index has {size} bytes, more than the allowed {most}")
    return size


class _OtherTrack(Exception):
    """A track that is no video."""


class _Index:
    """A walk over an index that ends at `end`."""

    def __init__(self, end: int, most: int) -> None:
        self._end, self._most = end, most
        self._left = MAX_INDEX_BOXES
        self._found: set[bytes] = set()

    def read(self, at: int) -> Generator[Want, bytes, bytes]:
        """`moov` with its first video track; empty where there are no tracks as one knows them."""
        whole, tracks = b"", 0
        while at < self._end:
            kind, header, size = yield from self._head(at, self._end)
            if kind == b"mvhd":
                whole += yield from self._leaf(at, size)
            elif kind == b"trak":
                tracks += 1
                self._found.clear()
                try:
                    track = yield from self._kept(at + header, at + size, _TRACK)
                except _OtherTrack:
                    pass
                else:
                    return _box(b"moov", whole + _box(b"trak", track))
            at += size
        if tracks:
            raise ProbeFailed(Failure.UNSUPPORTED, "the file has no video stream")
        return b""

    def _kept(self, at: int, end: int, wanted: _Boxes) -> Generator[Want, bytes, bytes]:
        parts: list[bytes] = []
        while at < end and not self._found >= _ENOUGH:
            kind, header, size = yield from self._head(at, end)
            inner = wanted.get(kind)
            if inner:
                parts.append(_box(kind, (yield from self._kept(at + header, at + size, inner))))
            elif inner is not None:
                parts.append((yield from self._leaf(at, size)))
                self._found.add(kind)
                if kind == b"hdlr" and parts[-1][header + 8 : header + 12] != b"vide":
                    raise _OtherTrack
            at += size
        return b"".join(parts)

    def _head(self, at: int, end: int) -> Generator[Want, bytes, tuple[bytes, int, int]]:
        self._left -= 1
        if not self._left:
            raise ProbeFailed(Failure.BUDGET_EXCEEDED, f"the index has more than {MAX_INDEX_BOXES} boxes")
        head = yield Want(at, min(16, end - at), _AFTER_TABLES)
        if len(head) < min(16, end - at):
            raise ProbeFailed(Failure.TRUNCATED, "the file ends inside its index (moov)")
        kind, header, size = head[4:8], 8, int.from_bytes(head[:4], "big")
        if size == 1:
            header, size = 16, int.from_bytes(head[8:16], "big")
        if not size:
            size = end - at
        if size < header or at + size > end:
            # Some writers end a box with a few zero bytes; what is damaged shall not be taken for less than it is.
            return b"", 8, end - at
        return kind, header, size

    def _leaf(self, at: int, size: int) -> Generator[Want, bytes, bytes]:
        data = yield Want(at, _within(size, self._most), _AFTER_TABLES)
        if len(data) < size:
            raise ProbeFailed(Failure.TRUNCATED, "the file ends inside its index (moov)")
        return data


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
