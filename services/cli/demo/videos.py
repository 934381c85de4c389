"""Small real videos for the demo: AVI, MP4 with its index at either end, MKV, one that a phone has turned, one that
lies about its size, and a file that is no video."""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class _Video:
    """One file; `turned`: by how many degrees its pictures are to be turned for display."""

    format: str
    size: tuple[int, int]
    muxer: dict[str, str] = field(default_factory=dict[str, str])
    codec: Literal["mpeg4", "libx264"] = "mpeg4"
    turned: int = 0
    frames: int = 50

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height for display."""
        width, height = self.size
        return (height, width) if self.turned % 180 else (width, height)


_VIDEOS = {
    "gate.avi": _Video("avi", (640, 480)),
    "dock.mp4": _Video("mp4", (1280, 720)),
    "hall.mp4": _Video("mp4", (1920, 1080), {"movflags": "faststart"}),
    "yard.mkv": _Video("matroska", (800, 600)),
    "phone.mp4": _Video("mp4", (1280, 720), {"movflags": "faststart"}, "libx264", 90, 5),
    "recorder.avi": _Video("avi", (1920, 1080), codec="libx264", frames=5),
}
CLAIMED = {"recorder.avi": (1920, 1088)}
"""What a container says in its header, where that is wrong: some recorders write the size that the codec pads to."""
BROKEN = "notes.avi"
_FRAME_RATE = 25


def make_videos(folder: Path) -> dict[str, tuple[int, int]]:
    """Writes the videos into the folder and returns their names with width and height for display, in pixels."""
    for name, video in _VIDEOS.items():
        _write(folder / name, video)
    for name, (_, claimed) in CLAIMED.items():
        true = _VIDEOS[name].size[1].to_bytes(4, "little")
        header, mark, pictures = (folder / name).read_bytes().partition(b"movi")
        (folder / name).write_bytes(header.replace(true, claimed.to_bytes(4, "little")) + mark + pictures)
    (folder / BROKEN).write_text("this is a shopping list, not a video\n" * 200)
    return {name: video.shown for name, video in _VIDEOS.items()}


def _write(path: Path, video: _Video) -> None:
    import av

    width, height = video.size
    with av.open(str(path), "w", format=video.format, options=video.muxer) as container:
        stream = container.add_stream(video.codec, rate=_FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if video.codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "40"}
        if video.turned:
            stream.set_display_rotation(video.turned)
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            # H.264 makes next to nothing of grey, so it gets noise.
            noisy = video.codec == "libx264"
            plane.update(random.Random(1).randbytes(plane.buffer_size) if noisy else bytes([96]) * plane.buffer_size)
        for index in range(video.frames):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
