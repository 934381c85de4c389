"""What this library's muxers and codecs write, probed in the jail and compared with what was asked for, and with
ffprobe where that is installed."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest

from tests.integration.media_probe.conftest import OpenRig
from tests.support import video_server as vs
from tests.support.scheduling import kept_scheduling

WIDE, TURNS = (4, 3), (90, 180, 270)
CODECS = {
    "mp4": "libx264 libx265 mpeg4 mpeg2video mpeg1video libvpx-vp9 libsvtav1 mjpeg png",
    "mov": "libx264 libx265 mpeg4 mjpeg prores_ks qtrle rawvideo png",
    "matroska": "libx264 libx265 mpeg4 mpeg2video libvpx libvpx-vp9 libsvtav1 mjpeg ffv1 prores_ks",
    "webm": "libvpx libvpx-vp9 libsvtav1",
    "avi": "libx264 mpeg4 mpeg2video mjpeg msmpeg4v3 wmv2 ffv1 huffyuv rawvideo libvpx",
    "flv": "libx264 libx265 flv",
    "mpegts": "libx264 libx265 mpeg2video mpeg1video mpeg4",
    "mpeg": "mpeg1video mpeg2video libx264",
    "vob": "mpeg2video",
    "svcd": "mpeg2video",
    "dvd": "mpeg2video",
    "nut": "libx264 mpeg4 ffv1 mjpeg",
    "asf": "wmv1 wmv2 msmpeg4v3 libx264",
    "mxf": "mpeg2video libx264",
    "3gp": "mpeg4 libx264 h263",
    "3g2": "mpeg4",
    "ipod": "libx264 mpeg4",
    "ismv": "libx264",
    "f4v": "libx264",
    "ivf": "libvpx libvpx-vp9 libsvtav1",
    "h264": "libx264",
    "hevc": "libx265",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "m4v": "mpeg4",
    "yuv4mpegpipe": "rawvideo",
    "gif": "gif",
    "apng": "apng",
    "mjpeg": "mjpeg",
}
PIXELS = {
    "mjpeg": "yuvj420p", "prores_ks": "yuv422p10le", "huffyuv": "yuv422p", "png": "rgb24", "gif": "rgb8",
    "apng": "rgb24", "qtrle": "rgb24",
}  # fmt: skip
QUICK = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
CROPPED = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "mpeg4")
"""Get a size that is no multiple of anything."""
ASPECT_IN_CODEC = ("libx264", "libx265", "mpeg4", "mpeg2video")
ASPECT_IN_CONTAINER = ("mp4", "mov")
DIFFERENCES = {
    ("avi", "mjpeg"): "the shape of a pixel is in a picture's JFIF header, which is behind what is read",
    ("nut", "mjpeg"): "the same",
    ("matroska", "mjpeg"): "the same",
    ("3gp", "h263"): "12:11 is the shape of every picture of H.263, which no file says and few players heed",
}
"""Where ffprobe sees more, with the reason; the size as coded is the same."""


@dataclass(frozen=True)
class Made:
    """A file, and the size that it is to be shown in."""

    name: str
    container: str
    codec: str
    data: bytes
    width: int
    height: int


@cache
def corpus() -> tuple[Made, ...]:
    """All of them; what the library's muxers refuse is not in it."""
    return tuple(
        made for container, codecs in CODECS.items() for codec in codecs.split() for made in of(container, codec)
    )


def of(container: str, codec: str) -> Iterator[Made]:
    yield make(container, codec)
    if container in {"mp4", "mov", "matroska", "avi", "mpegts", "flv", "mpeg", "mxf", "nut", "asf", "h264"} and (
        codec in ASPECT_IN_CODEC or container in ASPECT_IN_CONTAINER
    ):
        yield make(container, codec, aspect=WIDE)
    if container in {"mp4", "mov", "matroska"} and codec in {"libx264", "libx265", "mpeg4"}:
        for turn in TURNS:
            yield make(container, codec, turn=turn, aspect=WIDE if turn == 270 else None)
    if container in ASPECT_IN_CONTAINER and codec in {"libx264", "libx265", "mpeg4"}:
        for flags in ("faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"):
            yield make(container, codec, flags=flags)


def make(container: str, codec: str, *, aspect: tuple[int, int] | None = None, turn: int = 0, flags: str = "") -> Made:
    width, height = (322, 242) if codec in CROPPED else (352, 288) if codec == "h263" else (320, 240)
    data = encoded(container, codec, (width, height), aspect, turn, flags)
    if aspect is not None:
        width = int(Fraction(width) * Fraction(*aspect) + Fraction(1, 2))
    if turn in {90, 270}:
        width, height = height, width
    name = "-".join(filter(None, (container, codec, "wide" * bool(aspect), str(turn or ""), flags.replace("+", "-"))))
    return Made(name, container, codec, data, width, height)


def encoded(
    container: str, codec: str, size: tuple[int, int], aspect: tuple[int, int] | None, turn: int, flags: str
) -> bytes:
    with TemporaryDirectory() as folder, kept_scheduling():
        path = Path(folder) / "video"
        output: Any = av.open(str(path), "w", format=container, options={"movflags": flags} if flags else {})
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        stream.options = QUICK.get(codec, {})
        if aspect is not None:
            stream.sample_aspect_ratio = Fraction(*aspect)
        if turn:
            stream.set_display_rotation(turn)
        for number in range(3):
            frame: Any = av.VideoFrame(*size, stream.pix_fmt)
            for plane in frame.planes:
                plane.update(bytes([16 + 20 * number]) * plane.buffer_size)
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        output.close()
        return path.read_bytes()


async def test_every_kind_is_read_as_it_was_made(open_rig: OpenRig) -> None:
    files = {f"{made.name}": made for made in corpus()}
    assert len(files) == len(corpus()) >= 120
    wrong: list[str] = []
    async with (
        vs.video_server({name: made.data for name, made in files.items()}) as server,
        open_rig(server) as rig,
    ):
        for name, made in files.items():
            outcome = await rig.prober.probe(f"/{name}")
            facts = outcome.facts
            if facts is None or (facts.width, facts.height) != (made.width, made.height) or not facts.codec:
                wrong.append(f"{name}: {facts or outcome.error}, not {made.width}x{made.height}")
            elif outcome.effort.bytes_fetched > 64 * 1024 or outcome.effort.requests > 3:
                wrong.append(f"{name}: {outcome.effort}")
    assert wrong == []


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_says_the_same(tmp_path: Path) -> None:
    """Sizes as coded, and the shape of a pixel."""
    wrong: list[str] = []
    for made in corpus():
        path = tmp_path / made.name
        path.write_bytes(made.data)
        values = asked(path)
        if not int(values.get("width", 0)):
            continue  # an older ffprobe than this library knows less
        width, height = int(values["width"]), int(values["height"])
        shape = values.get("sample_aspect_ratio", "N/A").split(":")
        if len(shape) == 2 and "0" not in shape and (made.container, made.codec) not in DIFFERENCES:
            width = int(Fraction(width) * Fraction(int(shape[0]), int(shape[1])) + Fraction(1, 2))
        if int(values.get("rotation", 0)) % 180:
            width, height = height, width
        if (width, height) != (made.width, made.height):
            wrong.append(f"{made.name}: {width}x{height}, not {made.width}x{made.height}")
    assert wrong == []


def asked(path: Path) -> dict[str, str]:
    """What ffprobe says of the first video stream."""
    fields = "stream=width,height,sample_aspect_ratio:stream_side_data=rotation"
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", fields, "-of", "flat", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    pairs = (line.partition("=")[::2] for line in told)
    return {name.rpartition(".")[2]: value.strip('"') for name, value in pairs}
