"""What a file is by its first bytes. The list is what libav is allowed to open."""

import enum
import re
from typing import Final

from services.media_probe.domain.failure import Failure, ProbeFailed

MIN_BYTES = 12
"""Shorter files are no video in any of the formats."""
_JUNK: Final = 4096
"""How far in a stream of packs or packets may begin: recordings are cut anywhere."""


class Container(enum.Enum):
    """Formats by the names that the contract shows."""

    MP4 = "mp4"
    MATROSKA = "matroska"
    WEBM = "webm"
    AVI = "avi"
    FLV = "flv"
    MPEG_TS = "mpegts"
    MPEG_PS = "mpeg"
    MXF = "mxf"
    NUT = "nut"
    ASF = "asf"
    DV = "dv"
    H264 = "h264"
    HEVC = "hevc"
    MPEG_VIDEO = "mpegvideo"
    MPEG4_VIDEO = "m4v"
    Y4M = "yuv4mpegpipe"
    IVF = "ivf"
    GIF = "gif"
    APNG = "apng"
    WEBP = "webp"
    MJPEG = "mjpeg"

    @property
    def demuxer(self) -> str:
        """The name of libav's demuxer."""
        return {Container.MP4: "mov", Container.WEBM: "matroska"}.get(self, self.value)

    @property
    def tells_duration(self) -> bool:
        """Whether the header holds the duration (streams of packets have none; a guess from a part would be wrong)."""
        return self not in _STREAMS

    @property
    def seeks(self) -> bool:
        """Whether the header may refer to places further back in the file that are needed to understand it."""
        return self in (Container.MATROSKA, Container.WEBM, Container.AVI, Container.MXF)


_STREAMS: Final = frozenset(
    (
        Container.MPEG_TS, Container.MPEG_PS, Container.DV, Container.H264, Container.HEVC, Container.MPEG_VIDEO,
        Container.MPEG4_VIDEO, Container.Y4M, Container.MJPEG, Container.NUT,
    )
)  # fmt: skip
_MP4_BOXES: Final = frozenset(
    (
        b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"styp", b"sidx", b"ssix", b"emsg",
        b"prft", b"moof", b"pdin",
    )
)  # fmt: skip
_IMAGE_BRANDS: Final = frozenset((b"avif", b"heic", b"heix", b"mif1"))
_BEGINNINGS: Final = (
    (b"FLV\x01", Container.FLV),
    (b"\x00\x00\x01\xba", Container.MPEG_PS),
    (b"nut/multimedia container\0", Container.NUT),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Container.ASF),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02", Container.MXF),
    (b"YUV4MPEG2 ", Container.Y4M),
    (b"DKIF", Container.IVF),
    (b"GIF87a", Container.GIF),
    (b"GIF89a", Container.GIF),
    (b"\x00\x00\x01\xb3", Container.MPEG_VIDEO),
    (b"\x00\x00\x01\xb0", Container.MPEG4_VIDEO),
)
_DV: Final = re.compile(rb"\x1f\x07\x00[\x3f\xbf]")
# A start code, then a parameter set or the mark that a picture begins.
_H264: Final = re.compile(rb"\x00?\x00\x00\x01[\x07\x27\x47\x67\x09\x29\x49\x69]")
_HEVC: Final = re.compile(rb"\x00?\x00\x00\x01[\x40\x42\x46]\x01")
# MPEG-1 has 0010 behind the start code of a pack, MPEG-2 01xxx1.
_PACK: Final = re.compile(rb"\x00\x00\x01\xba[\x20-\x2f\x44-\x7f]")
_NEXT_JPEG: Final = b"\xff\xd9\xff\xd8\xff"
_UNSUPPORTED: Final = (
    (b"ID3", "the file is audio without video (MP3)"),
    (b"fLaC", "the file is audio without video (FLAC)"),
    (b"#!AMR", "the file is audio without video (AMR)"),
    (b"caff", "the file is audio without video (CAF)"),
    (b".snd", "the file is audio without video (AU)"),
    (b"OggS", "the container Ogg is not probed"),
    (b".RMF", "the container RealMedia is not probed"),
    (b"FWS", "the container SWF is not probed"),
    (b"CWS", "the container SWF is not probed"),
    (b"ZWS", "the container SWF is not probed"),
    (b"\x12\x00\x0a", "raw AV1 (OBU) is not probed"),
    (b"\xff\xd8\xff", "the file is an image (JPEG)"),
    (b"\x89PNG\r\n\x1a\n", "the file is an image (PNG)"),
    (b"II*\0", "the file is an image (TIFF)"),
    (b"MM\0*", "the file is an image (TIFF)"),
)


def sniff(head: bytes) -> Container:
    """The format of a file that starts with `head`. Raises ProbeFailed: NOT_MEDIA, or UNSUPPORTED for media that are
    known and not probed, images and sound alone."""
    if len(head) < MIN_BYTES:
        raise ProbeFailed(Failure.NOT_MEDIA, "the file is empty" if not head else "the file has only a few bytes")
    if head[4:8] in _MP4_BOXES:
        if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
            raise ProbeFailed(Failure.UNSUPPORTED, "the file is an image (HEIF)")
        return Container.MP4
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Container.WEBM if b"\x42\x82\x84webm" in head[:64] else Container.MATROSKA
    for beginning, container in _BEGINNINGS:
        if head.startswith(beginning):
            return container
    if head.startswith(b"RIFF"):
        return _riff(head)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and b"acTL" in head.partition(b"IDAT")[0]:
        return Container.APNG
    if head.startswith(b"\xff\xd8\xff") and _NEXT_JPEG in head:
        return Container.MJPEG
    for pattern, container in ((_DV, Container.DV), (_HEVC, Container.HEVC), (_H264, Container.H264)):
        if pattern.match(head):
            return container
    if _is_transport_stream(head, 1):
        return Container.MPEG_TS
    for magic, message in _UNSUPPORTED:
        if head.startswith(magic):
            raise ProbeFailed(Failure.UNSUPPORTED, message)
    if _PACK.search(head, 0, _JUNK):
        return Container.MPEG_PS
    if _is_transport_stream(head, _JUNK):
        return Container.MPEG_TS
    raise ProbeFailed(Failure.NOT_MEDIA, "the bytes are no video in a known container")


def _riff(head: bytes) -> Container:
    kind = head[8:12]
    if kind == b"AVI ":
        return Container.AVI
    if kind == b"WAVE":
        raise ProbeFailed(Failure.UNSUPPORTED, "the file is audio without video (WAVE)")
    if kind == b"WEBP":
        if head[12:16] == b"VP8X" and len(head) >= 30 and head[20] & 0x02:
            return Container.WEBP
        raise ProbeFailed(Failure.UNSUPPORTED, "the file is an image (WebP)")
    raise ProbeFailed(Failure.NOT_MEDIA, "the bytes are no video in a known container")


def _is_transport_stream(head: bytes, within: int) -> bool:
    """Whether packets begin at one of the first bytes."""
    # 188 bytes a packet, 192 with a time code before it (M2TS), 204 with error correction after it.
    at = head.find(0x47, 0, within + 4)
    while at >= 0:
        for size in (188, 192, 204):
            marks = head[at : at + 5 * size : size]
            if len(marks) >= (2 if at <= 4 else 5) and set(marks) == {0x47}:
                return True
        at = head.find(0x47, at + 1, within + 4)
    return False
