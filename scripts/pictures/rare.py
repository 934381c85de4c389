"""Picture of windows without readings: a meter that sends more rarely than the windows are long."""

from scripts.pictures.canvas import Canvas, Panel
from scripts.pictures.model import listed, text
from services.aggregation.domain.series import Kind

_MINUTE = 60
_READINGS = [(0.25, 100.0), (2.75, 150.0), (5.25, 165.0), (15.25, 245.0)]
"""(minute, Wh)."""


def windows_between_readings() -> Canvas:
    """Each window has its share of the increases that cross it; a gap that is too long has no windows."""
    seconds = [(at * _MINUTE, value) for at, value in _READINGS]
    found = listed(Kind.COUNTER, 150, seconds, 0, 16 * _MINUTE, _MINUTE)
    canvas = Canvas(
        "Windows of a minute, a reading every two and a half: the sum is the whole",
        404,
        "Windows without a reading are known between readings that are near enough, with their share of what was used.",
    )
    marks = [(float(at), f"{at} min") for at in range(0, 17, 2)]
    upper = Panel(canvas, 72, 120, -0.5, 16.5, 80, 265)
    upper.axes([], [(value, f"{value:g}") for value in (100.0, 165.0, 245.0)], "what the meter showed (Wh)")
    upper.band(6, 15)
    upper.course(_READINGS[:3], "line blue")
    upper.course(_READINGS[2:], "thin grey dash")
    for at, value in _READINGS:
        canvas.dot(*upper.at(at, value), "blue")
    canvas.text(upper.x(10.5), upper.bottom - 14, "10 min, max_gap is 3 x 150 s: no windows", "small muted", "middle")
    most = max(used for _, _, used in found)
    lower = Panel(canvas, 234, 100, -0.5, 16.5, 0, most * 1.2)
    lower.axes(marks, [(0, "0"), (most, text(most))], "consumption of each window (Wh)")
    for start, count, used in found:
        at, top = start / _MINUTE, lower.y(used)
        width = lower.x(at + 1) - lower.x(at) - 4
        canvas.rect(lower.x(at) + 2, top, width, lower.bottom - top, f"area {'blue' if count else 'violet'}")
        canvas.text(lower.x(at + 0.5), top - 5, text(used), "small bold", "middle")
    total = sum(used for _, _, used in found)
    canvas.text(lower.x(9.5), lower.y(most * 0.6), f"in all {text(total)} Wh = 245 - 100", "bold green", "middle")
    canvas.legend(
        386,
        [
            ("area", "blue", "holds a reading: stored and published"),
            ("area", "violet", "holds none: listed only"),
        ],
    )
    return canvas
