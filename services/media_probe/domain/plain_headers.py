"""Formats whose first bytes hold the size at a fixed place: no demuxer is asked."""

import struct
from datetime import timedelta
from typing import Final

from services.media_probe.domain.container_formats import Container
from services.media_probe.domain.failure import Failure, ProbeFailed
from services.media_probe.domain.video import Inspection

_IVF_CODECS: Final = {b"VP80": "vp8", b"VP90": "vp9", b"AV01": "av1", b"H264": "h264", b"HEVC": "hevc"}
# Start of a frame, but for DHT, JPG and DAC, which have numbers between them (ITU-T T.81, B.1.1.3).
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def plain_header(container: Container, head: bytes) -> Inspection | None:
    """What the first bytes say; None for formats that a demuxer is to look at. Raises ProbeFailed(TRUNCATED)."""
    try:
        match container:
            case Container.IVF:
                return _ivf(head)
            case Container.GIF:
                return Inspection(*struct.unpack_from("<2H", head, 6), "gif")
            case Container.APNG:
                return Inspection(*struct.unpack_from(">2I", head, 16), "apng")
            case Container.WEBP:
                width, height = (int.from_bytes(head[at : at + 3], "little") + 1 for at in (24, 27))
                return Inspection(width, height, "webp")
            case Container.MJPEG:
                return Inspection(*_jpeg(head), "mjpeg")
            case _:
                return None
    except (struct.error, IndexError):
        raise ProbeFailed(Failure.TRUNCATED, "the file ends inside its header") from None


def _ivf(head: bytes) -> Inspection:
    codec, width, height, rate, scale, frames = struct.unpack_from("<4s2H3I", head, 8)
    timed = rate > 0 and scale > 0
    seconds = frames * scale / rate if timed else 0.0
    return Inspection(
        width,
        height,
        _IVF_CODECS.get(codec, codec.decode("ascii", "replace").strip().lower()),
        duration=timedelta(seconds=seconds) if 0 < seconds < 10**9 else None,
        frame_rate=rate / scale if timed else 0.0,
    )


def _jpeg(head: bytes) -> tuple[int, int]:
    """The size of the first picture, by a walk over its segments."""
    at = 2
    while True:
        while head[at + 1] == 0xFF:
            at += 1
        if head[at + 1] in _FRAMES:
            height, width = struct.unpack_from(">2H", head, at + 5)
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
