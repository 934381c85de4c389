"""Picture of the frequency of a reminder: what it does while the rate at which it is opened changes."""

from scripts.pictures.canvas import Canvas, Panel
from services.notification.domain.reminders.adaptive import (
    COME_BACK_AT,
    THIN_OUT_AT,
    WINDOW,
    Adaptive,
    Opens,
    adapted,
)

_OPENED = (13, 9, 3, 2, 4, 8, 10, 7, 12, 14, 17, 16)
"""Of each window of 20."""


def frequency() -> Canvas:
    """Windows of 20 sent, judged one after the other."""
    bounds, every = Adaptive(1, 8), 1
    canvas = Canvas(
        "The frequency follows the open rate, with a wide dead band",
        400,
        "At most 20 % of a window of 20 opened doubles every, 60 % or more halves it; between the two nothing changes.",
    )
    count = len(_OPENED)
    upper = Panel(canvas, 72, 130, 0, count, 0, 1)
    upper.axes([], [(THIN_OUT_AT, "20 %"), (COME_BACK_AT, "60 %"), (1.0, "100 %")], "opened of each 20 sent")
    steps: list[tuple[float, float]] = [(0.0, 1.0)]
    for number, opened in enumerate(_OPENED):
        rate = opened / WINDOW
        ink = "red" if rate <= THIN_OUT_AT else "green" if rate >= COME_BACK_AT else "grey"
        left, right, top = upper.x(number) + 6, upper.x(number + 1) - 6, upper.y(rate)
        canvas.rect(left, top, right - left, upper.bottom - top, f"area {ink}")
        after = adapted(every, bounds, Opens(WINDOW, opened))
        steps += [(number + 1.0, float(every)), (number + 1.0, float(after))]
        every = after
    for threshold, ink in ((THIN_OUT_AT, "red"), (COME_BACK_AT, "green")):
        canvas.line([upper.at(0, threshold), upper.at(count, threshold)], f"thin {ink} dash")
    lower = Panel(canvas, 250, 100, 0, count, 0, 9)
    marks = [(float(at), f"{at}") for at in range(0, count + 1, 2)]
    lower.axes(marks, [(1, "1"), (2, "2"), (4, "4"), (8, "8")], "every: it runs at one of so many occurrences")
    lower.course(steps, "line blue")
    said = (("red", "thins out"), ("grey", "nothing changes"), ("green", "comes back"))
    canvas.legend(386, [("area", ink, words) for ink, words in said])
    return canvas
