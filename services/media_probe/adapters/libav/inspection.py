"""Looks into a video with libav. Runs in a worker only: this module loads libav.

No protocol is opened, and no demuxer but the one that is asked for. libav opens no decoder by itself
(`codec_whitelist` names none). Two are opened on a track's parameter sets, and told to skip every picture: what they
make of the sets is the size after cropping and the shape of a pixel, which containers do not tell, or tell wrongly.
"""

import importlib
import math
import pkgutil
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final, cast

import av
import av.logging
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from services.media_probe.domain.h263 import flv_picture, stsd_picture
from services.media_probe.domain.h264 import Picture, picture_of

DEMUXERS: Final = frozenset(
    (
        "mov", "matroska", "avi", "flv", "mpegts", "mpeg", "mxf", "nut", "asf", "dv", "h264", "hevc", "mpegvideo",
        "m4v", "yuv4mpegpipe",
    )
)  # fmt: skip
_OPTIONS: Final = {
    "codec_whitelist": "none",
    "protocol_whitelist": "none",
    # Widths are in headers and parameter sets: no packets are read for the sake of rates and first time stamps.
    "fpsprobesize": "0",
    "max_ts_probe": "0",
    "fflags": "+ignidx+nobuffer",
    "max_streams": "64",
}
# The least that makes libav look at the parameter sets: the start of a key frame's first picture.
_FIRST_SLICE: Final = {
    "hevc": b"\x26\x01\xaf\x00\x10\x10\x10\x10",
    "mpeg1video": b"\0\0\x01\0\0\x0f\xff\xf8",
    "mpeg2video": b"\0\0\x01\0\0\x0f\xff\xf8",
    "mpeg4": b"\0\0\x01\xb6\x10\0\0\0\0\0\0",
}
_START: Final = b"\0\0\0\1"
# Of the header and the source pack of a DV frame (IEC 61834-2): 625 lines or 525, and whether it is DV at 25 Mbit/s.
_DV_SYSTEM, _DV_KIND = 3, 80 * 5 + 48 + 3
_IDENTITY: Final = struct.pack("!9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
# Where the matrix stands behind the name of its box, by version (ISO/IEC 14496-12, 8.2.2 and 8.3.2).
_MATRIX_AT: Final = {b"mvhd": (40, 52), b"tkhd": (44, 56)}
_MXF: Final = b"\x06\x0e\x2b\x34"
_MATROSKA_PROJECTION: Final = b"\x76\x70"
# How many bytes of packets are read for what the header does not tell. For the first three the header tells all, and
# one packet cannot be avoided; FLV has its parameter sets before its first picture. Others need whole pictures.
_PACKET_BYTES: Final = {"mov": "32", "matroska": "32", "avi": "32", "flv": "4096"}
_BUFFER: Final = 4096
# A line of libav's description of a stream. What a file says itself stands behind other names and colons.
_DISPLAY_MATRIX: Final = re.compile(r" {6}Display Matrix: rotation of (\S+) degrees")


class _Prefix:
    """A file that ends where what is known of it ends, and cannot be sought in."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, size: int) -> bytes:
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data


class _Pieces:
    """A file of which some pieces are known. It ends at the first read outside of them; `missing` is where that was.
    Nothing is raised: the demuxer's callbacks have nobody to raise it to."""

    def __init__(self, pieces: Sequence[tuple[int, bytes]], size: int | None) -> None:
        self._pieces, self._size, self._at = pieces, size, 0
        self.missing: int | None = None

    def read(self, size: int) -> bytes:
        if self.missing is not None or (self._size is not None and self._at >= self._size):
            return b""
        for offset, data in self._pieces:
            if offset <= self._at < offset + len(data):
                found = data[self._at - offset : self._at - offset + size]
                self._at += len(found)
                return found
        self.missing = self._at
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self._at, 2: self._size}.get(whence)
        if base is None or base + offset < 0:
            return -1
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


def silence() -> None:
    """libav logs what it dislikes about a file; nobody reads it here."""
    av.logging.set_level(None)


def load_everything() -> None:
    """Loads what the binding loads when it first meets a kind of stream or an error: by then a worker cannot open files
    any more."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name != "av.__main__":
            importlib.import_module(module.name)


def inspect(
    demuxer: str, pieces: Sequence[tuple[int, bytes]], *, seekable: bool = False, size: int | None = None
) -> dict[str, Any]:
    """The answer to a job: kind `video` with what is known of the first video stream, kind `missing` with the offset
    that the demuxer wants, or kind `nothing` with a reason and the number of streams."""
    if demuxer not in DEMUXERS:
        return {"kind": "nothing", "message": "the container is not probed", "streams": 0}
    file = _Pieces(pieces, size) if seekable else _Prefix(pieces[0][1])
    packets = _PACKET_BYTES.get(demuxer)
    options = {**_OPTIONS, "probesize": packets} if packets else _OPTIONS
    try:
        with av.open(
            file, "r", format=demuxer, options=options, buffer_size=_BUFFER, metadata_errors="ignore"
        ) as container:
            answer = _describe(container, demuxer, pieces[0][1])
    except (FFmpegError, ValueError) as error:
        answer = {"kind": "nothing", "message": f"libav: {_reason(error)}", "streams": 0}
    complete = answer["kind"] == "video" and answer["width"] and answer["height"]
    if isinstance(file, _Pieces) and file.missing is not None and not complete:
        return {"kind": "missing", "offset": file.missing}
    return answer


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _describe(container: InputContainer, demuxer: str, head: bytes) -> dict[str, Any]:
    stream = next((s for s in container.streams.video if not s.disposition & s.disposition.attached_pic), None)
    if stream is None:
        count = len(container.streams)
        return {"kind": "nothing", "message": "no video stream", "streams": count}
    width, height, codec, aspect = _picture(stream, head)
    duration = _seconds(stream, container)
    rate = stream.average_rate or Fraction(0)
    return {
        "kind": "video",
        "width": width,
        "height": height,
        "codec": codec,
        "aspect": [aspect.numerator, aspect.denominator],
        "rotation": _rotation(container, stream.index) if _may_be_turned(demuxer, head) else 0.0,
        "duration": duration,
        "rate": float(rate),
    }


def _picture(stream: VideoStream, head: bytes) -> tuple[int, int, str, Fraction]:
    """Width, height, codec, and width over height of a pixel. The codec's own word counts for the size; for the shape
    of a pixel the container's does, where it says something."""
    # A codec without a decoder in this build has no context, and no name.
    context: Any = stream.codec_context
    if context is None:
        return 0, 0, "", Fraction(1)
    name: str = context.codec.canonical_name
    width, height, aspect = int(context.width or 0), int(context.height or 0), stream.sample_aspect_ratio
    if (told := _from_parameters(name, context.extradata)) is not None:
        if head.startswith(_MXF):
            aspect = None  # libav has made it of the shape of the whole and of a size that is not cropped
        width, height, aspect = told.width, told.height, aspect or told.sample_aspect
    if not (width and height):
        width, height = _from_header(name, head)
    return width, height, name, aspect or Fraction(1)


def _from_parameters(codec: str, extradata: bytes | None) -> Picture | None:
    """What parameter sets tell; None where there are none, or none that make sense."""
    if not extradata:
        return None
    if codec == "h264":
        return picture_of(extradata)
    if codec not in _FIRST_SLICE:
        return None
    context: Any = av.CodecContext.create(codec, "r")
    context.extradata = extradata
    starts, slice_ = extradata[:3] == b"\0\0\1" or extradata[:4] == _START, _FIRST_SLICE[codec]
    if codec == "mpeg4":
        context.parse(extradata + slice_)
        context.parse(None)
    else:
        context.thread_count = 1
        context.skip_frame = "ALL"
        with suppress(FFmpegError):
            context.open()
            context.decode(av.Packet((_START if starts else len(slice_).to_bytes(4, "big")) + slice_))
    width, height = int(context.width or 0), int(context.height or 0)
    return Picture(width, height, context.sample_aspect_ratio or None) if width and height else None


def _from_header(codec: str, head: bytes) -> tuple[int, int]:
    """What a container says where libav leaves it to the decoder."""
    if head.startswith(b"FLV"):
        width, height = _from_script(head)
        return (width, height) if width and height else flv_picture(head)
    if codec == "dvvideo" and not head[_DV_KIND] & 0x1F:
        return 720, 576 if head[_DV_SYSTEM] & 0x80 else 480
    return stsd_picture(head) if codec == "h263" else (0, 0)


def _from_script(head: bytes) -> tuple[int, int]:
    """Width and height of FLV's onMetaData (AMF0: name with its length before it, marker 0, a double)."""
    sides: list[int] = []
    for name in (b"\x00\x05width\x00", b"\x00\x06height\x00"):
        at = head.find(name) + len(name)
        if at < len(name) or at + 8 > len(head):
            return 0, 0
        value: float = struct.unpack_from("!d", head, at)[0]
        sides.append(int(value) if 0 < value < 1 << 16 else 0)
    return sides[0], sides[1]


def _rotation(container: InputContainer, stream: int) -> float:
    """Degrees clockwise of the stream's display matrix. libav's description is the one place where this binding shows
    it; the description costs as much as the rest, so it is asked for only where a matrix may be."""
    av.logging.set_level(av.logging.INFO)
    try:
        text: str = cast(Any, container).dumps_format()
    finally:
        silence()
    for line in _lines_of(text, stream):
        if found := _DISPLAY_MATRIX.fullmatch(line):
            # libav counts counter-clockwise. A matrix without a direction has none in degrees, either.
            degrees = -float(found[1])
            return degrees if math.isfinite(degrees) else 0.0
    return 0.0


def _may_be_turned(demuxer: str, head: bytes) -> bool:
    match demuxer:
        case "mov":
            return _is_turned(head)
        case "matroska":
            return _MATROSKA_PROJECTION in head
        case _:
            return False


def _is_turned(head: bytes) -> bool:
    """Whether a movie or a track has another matrix than the one that leaves pictures as they are."""
    for name, places in _MATRIX_AT.items():
        at = head.find(name)
        while at >= 0:
            begin = at + places[head[at + 4 : at + 5] == b"\1"]
            if head[begin : begin + len(_IDENTITY)] != _IDENTITY:
                return True
            at = head.find(name, at + 1)
    return False


def _lines_of(description: str, stream: int) -> Iterator[str]:
    """What a description says of one stream."""
    ours = re.compile(rf"  Stream #0:{stream}\D")
    inside = False
    for line in description.splitlines():
        if line.startswith("  Stream #"):
            inside = ours.match(line) is not None
        elif inside:
            yield line


def _seconds(stream: VideoStream, container: InputContainer) -> float | None:
    if container.duration is not None and container.duration > 0:
        return container.duration / 1_000_000
    if stream.duration is not None and stream.duration > 0 and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None
