"""Pictures of windows in time: event time, watermark and lateness, quiet series."""

from typing import Final

import numpy as np

from scripts.pictures.canvas import LEFT, RIGHT, WIDTH, Canvas, Panel
from scripts.pictures.model import ORIGIN
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import MINUTE, SECOND
from services.aggregation.domain.windows.engine import Engine

_INKS: Final = ("blue", "green", "violet")


def event_time() -> Canvas:
    """A reading belongs to the window of its own time."""
    # (event time, arrival); the fifth comes late, one comes twice.
    journeys = [
        (8, 10),
        (24, 27),
        (42, 44),
        (70, 73),
        (54, 84),
        (88, 91),
        (24, 122),
        (106, 109),
        (131, 136),
        (152, 155),
    ]
    canvas = Canvas(
        "Tumbling windows: a reading belongs to the window of its event time",
        330,
        "Readings arrive out of order and one twice; each counts once, in the window of the time it was measured at.",
    )
    panel = Panel(canvas, 62, 190, 0, 180, 0, 1)
    arrivals, events = 92.0, 216.0
    for place, ink in enumerate(_INKS):
        x0, x1 = panel.x(60 * place), panel.x(60 * place + 60)
        canvas.rect(x0 + 2, events - 26, x1 - x0 - 4, 52, f"area {ink}", 6)
        canvas.text((x0 + x1) / 2, events + 44, f"window [{place}:00, {place + 1}:00)", f"small {ink}", "middle")
    for y, name in ((arrivals, "arrival"), (events, "event time")):
        canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], "axis")
        canvas.text(20, y - (14 if name == "arrival" else 34), name, "small muted")
    counts = [0, 0, 0]
    seen: set[int] = set()
    for event, arrival in journeys:
        ink, repeat = _INKS[event // 60], event in seen
        seen.add(event)
        start, end = (panel.x(arrival), arrivals), (panel.x(event), events)
        if repeat:
            canvas.line([start, end], "thin grey dash")
            canvas.cross(*start, "grey", 5)
            canvas.text(start[0], arrivals - 14, "again: first wins", "small muted", "middle")
            continue
        counts[event // 60] += 1
        canvas.arrow(start, (end[0], end[1] - 6), ink)
        canvas.dot(*start, ink)
        canvas.dot(*end, ink)
        if arrival - event > 20:
            canvas.text(start[0], arrivals - 14, "late", "small muted", "middle")
    for place, count in enumerate(counts):
        canvas.text(panel.x(60 * place + 30), events + 62, f"count {count}", "small bold", "middle")
    canvas.text(
        LEFT,
        310,
        "Windows start at multiples of their step since the Unix epoch (UTC), whoever asks from wherever.",
        "small muted",
    )
    return canvas


def watermark() -> Canvas:
    """How far behind the newest reading a reading may be, and what a window lives through."""
    rules = Rules()
    canvas = Canvas(
        "Watermark, grace and lateness",
        400,
        "A reading's distance behind the newest one of its series decides whether it waits, corrects or is only kept.",
    )
    strip, right, left = 66.0, WIDTH - 110, 40.0
    zones = [
        (
            left,
            210,
            "red",
            "too late",
            f"more than {rules.lateness // MINUTE} min behind:",
            "kept as raw, counted, changes no window",
        ),
        (
            210,
            560,
            "orange",
            "late",
            f"up to {rules.lateness // MINUTE} min (lateness) behind:",
            "corrects its window and the edges beside it",
        ),
        (560, right, "green", "fresh", f"{rules.grace // SECOND} s (grace):", "any order"),
    ]
    for x0, x1, ink, name, first, second in zones:
        canvas.rect(x0 + 1, strip, x1 - x0 - 2, 62, f"area {ink}", 4)
        canvas.text((x0 + x1) / 2, strip + 18, name, f"bold {ink}", "middle")
        canvas.text((x0 + x1) / 2, strip + 36, first, "small", "middle")
        if name == "too late":
            canvas.text((x0 + x1) / 2, strip + 52, "kept as raw, counted", "small", "middle")
        else:
            canvas.text((x0 + x1) / 2, strip + 52, second, "small", "middle")
    canvas.dot(right, strip + 31, "blue", 6)
    canvas.text(right + 12, strip + 27, "newest", "small bold")
    canvas.text(right + 12, strip + 43, "= watermark", "small muted")
    canvas.arrow((left, strip + 80), (WIDTH - 30, strip + 80), "grey")
    canvas.text(WIDTH - 30, strip + 98, "event time of the series", "small muted", "end")

    canvas.text(20, 196, "The life of one window [12:00, 12:15)", "bold")
    life = Panel(canvas, 214, 96, 0, 100, 0, 1)
    stations = [
        (0, 30, "grey", "open", "provisional: true", "a reading at 12:15:02 or later"),
        (30, 54, "blue", "closed", "revision 1, published", "closes it"),
        (54, 84, "orange", "corrected", "revision 2, published", ""),
        (84, 100, "green", "final", "", ""),
    ]
    for x0, x1, ink, name, note, _ in stations:
        canvas.rect(life.x(x0) + 1, 222, life.x(x1) - life.x(x0) - 2, 44, f"area {ink}", 6)
        canvas.text((life.x(x0) + life.x(x1)) / 2, 241, name, f"bold {ink}" if ink != "grey" else "bold", "middle")
        canvas.text((life.x(x0) + life.x(x1)) / 2, 258, note, "small muted", "middle")
    for at, first, second in (
        (30, "12:15:02 is seen:", "the grace is over"),
        (54, "a reading of 12:07 comes", "while the newest is 12:31"),
        (84, "13:15 is seen:", "its readings are too late"),
    ):
        canvas.arrow((life.x(at), 308), (life.x(at), 270), "grey")
        canvas.text(life.x(at), 324, first, "small", "middle")
        canvas.text(life.x(at), 340, second, "small muted", "middle")
    canvas.text(
        40,
        380,
        "Each series has a watermark of its own: one device with a wrong clock holds nobody else up.",
        "small muted",
    )
    return canvas


def _closes(readings: list[int]) -> float:
    """When the minute [0, 60) of a series with these readings closes by the clock, in seconds."""
    rules = Rules(steps=(MINUTE,))
    engine = Engine(rules)
    engine.states.add(1, engine.states.blank(int(Kind.GAUGE), 5 * SECOND), float(readings[-1]))
    times = np.array([(ORIGIN + at) * SECOND for at in readings], np.int64)
    engine.apply(Readings(np.zeros(len(times), np.int64), times, np.ones(len(times))), float(readings[-1]))
    found = engine.next_deadline(0.0, ORIGIN * SECOND)
    assert found is not None
    return found


def quiet() -> Canvas:
    """A window closes by the clock where no reading does it."""
    canvas = Canvas(
        "A quiet series still closes",
        330,
        "Three series with readings every five seconds: one goes on, one stops before the end, one just before it.",
    )
    panel = Panel(canvas, 66, 210, 25, 90, 0, 3)
    panel.axes([(at, f"{at} s") for at in range(30, 91, 10)], [])
    panel.upright(60, "grey")
    canvas.text(panel.x(60), panel.top - 6, "end of the window", "small muted", "middle")
    rows: list[tuple[str, list[int], str]] = [
        ("goes on", [*range(27, 88, 5)], "a reading at 62 s or later"),
        ("stops early", [27, 32, 37, 42], "end + grace"),
        ("stops at 57 s", [*range(27, 58, 5)], "57 s + max_gap + grace"),
    ]
    for place, (name, readings, why) in enumerate(rows):
        y = panel.top + 40 + 70 * place
        canvas.text(20, y - 16, name, "small bold")
        canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], "grid")
        for at in readings:
            canvas.dot(panel.x(at), y, "blue" if at < 60 else "hollow blue")
        # The first reading at or after the end and the grace closes; without one the clock does.
        moment = next((float(at) for at in readings if at >= 62), None)
        moment = _closes(readings) if moment is None else moment
        canvas.rect(panel.x(readings[0]), y + 12, panel.x(moment) - panel.x(readings[0]), 12, "area grey", 3)
        canvas.line([(panel.x(moment), y - 22), (panel.x(moment), y + 26)], "line green")
        canvas.text(panel.x(moment) + 7, y - 12, f"closes at {moment:g} s", "small bold green")
        canvas.text(panel.x(moment) + 7, y + 23, why, "small muted")
    canvas.legend(
        318,
        [
            ("dot", "blue", "readings of the window"),
            ("area", "grey", "provisional"),
            ("line", "green", "closed and published"),
        ],
    )
    return canvas
