"""Real videos, made by libav when a test first asks for them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

_QUICK = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
_PICTURE = np.random.default_rng(7).integers(0, 255, (360, 640, 3), dtype=np.uint8)


@contextmanager
def _file() -> Iterator[Path]:
    # A real one: to put an index first, libav reads back what it wrote.
    with TemporaryDirectory() as directory:
        yield Path(directory) / "video"


@lru_cache(maxsize=64)
def make_video(
    container: str = "mp4",
    codec: str = "mpeg4",
    *,
    frames: int = 12,
    options: tuple[tuple[str, str], ...] = (),
    audio: str = "",
    rotation: int = 0,
    sample_aspect: tuple[int, int] | None = None,
    size: tuple[int, int] = (640, 360),
) -> bytes:
    """A video of noise (so that its media weigh much more than its header), 25 frames a second."""
    with _file() as path:
        output: Any = av.open(str(path), "w", format=container, options=dict(options))
        _fill(output, codec, frames, audio, rotation, sample_aspect, size)
        return path.read_bytes()


def _fill(
    output: Any,
    codec: str,
    frames: int,
    audio: str,
    rotation: int,
    sample_aspect: tuple[int, int] | None,
    size: tuple[int, int],
) -> None:
    stream = output.add_stream(codec, rate=25)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.options = _QUICK.get(codec, {})
    if sample_aspect is not None:
        stream.sample_aspect_ratio = Fraction(*sample_aspect)
    if rotation:
        stream.set_display_rotation(rotation)
    sound = output.add_stream(audio, rate=48000) if audio else None
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(np.roll(_PICTURE, number * 5, axis=1), format="rgb24")
        frame.pts = number
        output.mux(stream.encode(frame.reformat(*size)))
        if sound is not None:
            output.mux(sound.encode(_silence(number, sound)))
    output.mux(stream.encode())
    if sound is not None:
        output.mux(sound.encode())
    output.close()


@lru_cache(maxsize=1)
def make_audio() -> bytes:
    """An MP4 file without video."""
    with _file() as path:
        output: Any = av.open(str(path), "w", format="mp4")
        sound = output.add_stream("aac", rate=48000)
        for number in range(10):
            output.mux(sound.encode(_silence(number, sound)))
        output.mux(sound.encode())
        output.close()
        return path.read_bytes()


def _silence(number: int, stream: Any) -> Any:
    layout = stream.codec_context.layout
    frame: Any = av.AudioFrame.from_ndarray(
        np.zeros((1, 1920 * layout.nb_channels), dtype=np.int16), format="s16", layout=layout.name
    )
    frame.sample_rate, frame.pts = 48000, number * 1920
    return frame


FASTSTART = (("movflags", "faststart"),)
FRAGMENTED = (("movflags", "frag_keyframe+empty_moov"),)


def corpus() -> dict[str, bytes]:
    """One sound video of each kind, all 640x360 for display."""
    return {
        "a.avi": make_video("avi", audio="mp2"),
        "h264.avi": make_video("avi", "libx264"),
        "first.mp4": make_video("mp4", "libx264", options=FASTSTART, audio="aac"),
        "last.mp4": make_video("mp4", "libx264", audio="aac", frames=30),
        "fragmented.mp4": make_video("mp4", "libx264", options=FRAGMENTED),
        "mpeg4.mp4": make_video("mp4", "mpeg4"),
        "a.mov": make_video("mov", "libx264"),
        "a.mkv": make_video("matroska", "libx264", audio="aac"),
        "a.webm": make_video("webm", "libvpx", audio="libopus"),
        "a.ts": make_video("mpegts", "libx264", audio="aac"),
        "mpeg2.ts": make_video("mpegts", "mpeg2video", audio="mp2"),
        "a.flv": make_video("flv", "libx264", audio="aac"),
        "sorenson.flv": make_video("flv", "flv1"),
        "a.mpg": make_video("mpeg", "mpeg2video"),
    }


def noise(length: int) -> bytes:
    """Bytes that are nothing."""
    return random.Random(length).randbytes(length)


PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000154a24f5d0000000049454e44ae426082"
)
