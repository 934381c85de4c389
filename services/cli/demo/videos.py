"""Small real videos for the demo: AVI, MP4 with its index at either end, MKV, and a file that is no video."""

from pathlib import Path

# name, container format, muxer options, (width, height)
_VIDEOS: tuple[tuple[str, str, dict[str, str], tuple[int, int]], ...] = (
    ("gate.avi", "avi", {}, (640, 480)),
    ("dock.mp4", "mp4", {}, (1280, 720)),
    ("hall.mp4", "mp4", {"movflags": "faststart"}, (1920, 1080)),
    ("yard.mkv", "matroska", {}, (800, 600)),
)
BROKEN = "notes.avi"
_FRAMES = 50
_FRAME_RATE = 25


def make_videos(folder: Path) -> dict[str, tuple[int, int]]:
    """Writes the videos into the folder and returns their names with width and height in pixels."""
    import av

    for name, container_format, options, (width, height) in _VIDEOS:
        with av.open(str(folder / name), "w", format=container_format, options=options) as container:
            stream = container.add_stream("mpeg4", rate=_FRAME_RATE)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([96]) * plane.buffer_size)
            for index in range(_FRAMES):
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    (folder / BROKEN).write_text("this is a shopping list, not a video\n" * 200)
    return {name: size for name, _, _, size in _VIDEOS}
