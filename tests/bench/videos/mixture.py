"""The mixed corpus: what cameras, recorders and phones write, small and large, a moment and an hour long."""

from collections.abc import Iterator
from typing import Final

from tests.support.videos import FASTSTART, FRAGMENTED, lengthened, make_video

_SIZES: Final = ((320, 240), (640, 360), (1280, 720))
_KINDS: Final = (
    ("avi", "avi", "mpeg4 libx264", "mp2", ()),
    ("mp4, index first", "mp4", "libx264 libx265 mpeg4", "aac", FASTSTART),
    ("mp4, index last", "mp4", "libx264 libx265 mpeg4", "aac", ()),
    ("mp4, fragmented", "mp4", "libx264", "aac", FRAGMENTED),
    ("mkv", "matroska", "libx264 libx265 mpeg4", "aac", ()),
    ("webm", "webm", "libvpx libvpx-vp9", "libopus", ()),
    ("ts", "mpegts", "libx264 libx265 mpeg2video", "aac", ()),
    ("flv", "flv", "libx264 flv1", "aac", ()),
)
_LONG: Final = (("1 min", 60), ("10 min", 600), ("1 h", 3600))


def mixture() -> dict[str, tuple[str, bytes]]:
    """Name -> (kind, file). Every one has sound, but for the long ones."""
    return {f"{number}": made for number, made in enumerate(_made())}


def _made() -> Iterator[tuple[str, bytes]]:
    for kind, container, codecs, audio, options in _KINDS:
        for codec in codecs.split():
            for size in _SIZES:
                made = make_video(container, codec, frames=12, options=options, audio=audio, size=size)
                yield kind, made
        first = codecs.split()[0]
        for name, seconds in _LONG:
            yield f"{kind}, {name}", lengthened(container, first, seconds, options)
