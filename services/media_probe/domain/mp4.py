"""Finds the header of an MP4 file without reading its media: a walk over the top-level boxes.

The index (`moov`) may stand before the media (`mdat`) or after them, gigabytes further on. The walk is a generator that
asks for ranges and is sent their bytes; it does no I/O. ISO/IEC 14496-12, 4.2.
"""

from collections.abc import Generator
from dataclasses import dataclass

from services.media_probe.domain.failure import Failure, ProbeFailed

MAX_BOXES = 64
MAX_FTYP = 4096
AFTER_MEDIA = 32 * 1024
"""How much to fetch after a jump over the media: most often it is the whole index."""


@dataclass(frozen=True, slots=True)
class Want:
    """A range: `length` bytes at `offset`, at the end of the file fewer. `ahead`: as many more may come with them, for
    they will probably be wanted next."""

    offset: int
    length: int
    ahead: int = 0


def find_header(max_index: int) -> Generator[Want, bytes, bytes]:
    """Asks for ranges and returns `ftyp` + `moov`, which to a demuxer is a whole MP4 file without media.

    Raises ProbeFailed: TRUNCATED when the file ends before its index does, NOT_MEDIA when the boxes make no sense,
    BUDGET_EXCEEDED when the index is larger than `max_index` bytes or hidden behind too many boxes.
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
