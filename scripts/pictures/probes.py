"""Picture of alerts a second by places for probes, as `tests.bench.videos.places` has measured them."""

from math import log2
from typing import Final

from scripts.pictures.canvas import Canvas, Panel

_PLACES: Final = (6, 12, 24, 48, 96, 192)
_RATES: Final = (
    ("blue", "servers that answer at once", (108.4, 164.0, 246.1, 496.0, 955.7, 841.8)),
    ("green", "after 50 ms", (54.8, 117.6, 251.8, 382.4, 737.8, 824.9)),
    ("orange", "after 500 ms", (11.7, 23.0, 45.6, 92.3, 175.9, 323.2)),
)
"""2026-11-30, one process; the machine was busy with other work."""


def places() -> Canvas:
    """One line for each kind of server."""
    canvas = Canvas(
        "Alerts a second by places for probes, one process",
        330,
        "With fast servers the rate grows up to 96 places; with servers that take 500 ms it grows with the places.",
    )
    panel = Panel(canvas, 72, 180, log2(_PLACES[0]), log2(_PLACES[-1]), 0, 1000)
    marks = [(log2(count), str(count)) for count in _PLACES]
    panel.axes(marks, [(rate, str(rate)) for rate in (250, 500, 750, 1000)], "alerts a second")
    for ink, _, rates in _RATES:
        points = [(log2(count), rate) for count, rate in zip(_PLACES, rates, strict=True)]
        panel.course(points, f"line {ink}")
        for point in points:
            canvas.dot(*panel.at(*point), ink)
    canvas.legend(306, [("line", ink, words) for ink, words, _ in _RATES])
    return canvas
