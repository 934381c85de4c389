"""Real videos, made by libav when a test first asks for them."""

import io
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

from tests.support.scheduling import kept_scheduling

_QUICK = {
    "libx264": {"preset": "ultrafast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}
_PICTURE = np.random.default_rng(7).integers(0, 255, (360, 640, 3), dtype=np.uint8)


@contextmanager
def _file() -> Iterator[Path]:
    # A real one: to put an index first, libav reads back what it wrote.
    with TemporaryDirectory() as directory, kept_scheduling():
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


def lengthened(container: str, codec: str, seconds: int, options: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A recording of 160x120 in which the same second, of 25 pictures, comes again and again. All but its first picture
    are cut to a few bytes: it is headers that are looked at."""
    short = make_video(container, codec, frames=25, size=(160, 120))
    with _file() as path, av.open(io.BytesIO(short)) as source:
        output: Any = av.open(str(path), "w", format=container, options=dict(options))
        stream = output.add_stream_from_template(source.streams.video[0])
        bodies = [bytes(packet) for packet in source.demux(source.streams.video[0]) if packet.size]
        for number in range(seconds * len(bodies)):
            packet: Any = av.Packet(bodies[number % len(bodies)][: 24 if number else None])
            packet.pts = packet.dts = number
            packet.time_base, packet.duration = Fraction(1, len(bodies)), 1
            packet.is_keyframe, packet.stream = number % len(bodies) == 0, stream
            output.mux(packet)
        output.close()
        return path.read_bytes()


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


def remuxed(
    videos: Sequence[bytes],
    container: str = "mp4",
    *,
    metadata: tuple[tuple[str, str], ...] = (),
    chapters: bool = False,
) -> bytes:
    """The video streams of some files in one, as they are. `chapters`: two of them, which MP4 keeps as a track of text;
    `metadata`: of the file."""
    with _file() as path, ExitStack() as stack:
        output: Any = stack.enter_context(av.open(str(path), "w", format=container))
        output.metadata.update(dict(metadata))
        pairs: list[tuple[Any, Any]] = []
        for video in videos:
            source: Any = stack.enter_context(av.open(io.BytesIO(video)))
            stream = output.add_stream_from_template(source.streams.video[0])
            if turned := _turn(video):
                stream.set_display_rotation(turned)
            pairs.append((source, stream))
        if chapters:
            base = Fraction(1, 1000)
            made = [{"id": n, "start": 200 * n, "end": 200 * n + 200, "time_base": base} for n in range(2)]
            output.set_chapters([{**one, "metadata": {"title": f"Part {one['id']}"}} for one in made])
        for source, stream in pairs:
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
        output.close()
        return path.read_bytes()


def _turn(video: bytes) -> int:
    """What `make_video` was told of the rotation: a copied stream has no matrix."""
    return 90 if video == make_video("mp4", "libx264", rotation=90) else 0


_TEXTS = {
    "srt": b"1\n00:00:00,000 --> 00:00:00,400\nHi\n\n",
    "webvtt": b"WEBVTT\n\n00:00.000 --> 00:00.400\nHi\n",
}


def with_text(video: bytes | None, container: str, kind: str) -> bytes:
    """A file with a track of subtitles, behind the video stream of another one if any."""
    with _file() as path, ExitStack() as stack:
        output: Any = stack.enter_context(av.open(str(path), "w", format=container))
        sources: list[Any] = [av.open(io.BytesIO(video))] if video is not None else []
        sources.append(av.open(io.BytesIO(_TEXTS[kind]), format=kind))
        pairs: list[tuple[Any, Any]] = []
        for source in sources:
            stack.enter_context(source)
            stream = source.streams.video[0] if source.streams.video else source.streams[0]
            pairs.append((source.demux(stream), output.add_stream_from_template(stream)))
        for packets, stream in pairs:
            for packet in packets:
                if packet.dts is not None:
                    packet.stream = stream
                    output.mux(packet)
        output.close()
        return path.read_bytes()
