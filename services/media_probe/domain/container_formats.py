"""What a file is by its first bytes. The list is what libav is allowed to open."""

import enum

from services.media_probe.domain.failure import Failure, ProbeFailed

MIN_BYTES = 12
"""Shorter files are no video in any of the formats."""


class Container(enum.Enum):
    """Formats by the names that the contract shows."""

    MP4 = "mp4"
    MATROSKA = "matroska"
    WEBM = "webm"
    AVI = "avi"
    FLV = "flv"
    MPEG_TS = "mpegts"
    MPEG_PS = "mpeg"

    @property
    def demuxer(self) -> str:
        """The name of libav's demuxer."""
        return {Container.MP4: "mov", Container.WEBM: "matroska"}.get(self, self.value)

    @property
    def tells_duration(self) -> bool:
        """Whether the header holds the duration (streams of packets have none; a guess from a part would be wrong)."""
        return self not in (Container.MPEG_TS, Container.MPEG_PS)

    @property
    def seeks(self) -> bool:
        """Whether the header may refer to places further back in the file that are needed to understand it."""
        return self in (Container.MATROSKA, Container.WEBM, Container.AVI)


_MP4_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"))
_IMAGE_BRANDS = frozenset((b"avif", b"heic", b"heix", b"mif1"))
_OTHER_MEDIA = {
    b"OggS": "Ogg",
    b"\x30\x26\xb2\x75": "ASF",
    b"ID3": "MP3",
    b"fLaC": "FLAC",
    b".RMF": "RealMedia",
}


def sniff(head: bytes) -> Container:
    """The format of a file that starts with `head`. Raises ProbeFailed: NOT_MEDIA, or UNSUPPORTED for media that are
    known and not probed."""
    if len(head) < MIN_BYTES:
        raise ProbeFailed(Failure.NOT_MEDIA, "the file is empty" if not head else "the file has only a few bytes")
    if head[4:8] in _MP4_BOXES:
        if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
            raise ProbeFailed(Failure.NOT_MEDIA, "the file is an image")
        return Container.MP4
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Container.WEBM if b"\x42\x82\x84webm" in head[:64] else Container.MATROSKA
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return Container.AVI
    if head.startswith(b"FLV\x01"):
        return Container.FLV
    if head.startswith(b"\x00\x00\x01\xba"):
        return Container.MPEG_PS
    if _is_transport_stream(head):
        return Container.MPEG_TS
    for magic, name in _OTHER_MEDIA.items():
        if head.startswith(magic):
            raise ProbeFailed(Failure.UNSUPPORTED, f"the container {name} is not probed")
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        raise ProbeFailed(Failure.UNSUPPORTED, "the file is audio without video")
    raise ProbeFailed(Failure.NOT_MEDIA, "the bytes are no video in a known container")


def _is_transport_stream(head: bytes) -> bool:
    # 188 bytes a packet, 192 with a time code before it (M2TS), 204 with error correction after it.
    for start, size in ((0, 188), (4, 192), (0, 204)):
        marks = head[start : start + 5 * size : size]
        if len(marks) >= 2 and set(marks) == {0x47}:
            return True
    return False
