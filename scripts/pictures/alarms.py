"""Pictures of alarm rules: when an alarm is pending, raised and cleared."""

import math
from itertools import pairwise

from scripts.pictures.alarm_model import Phase, phases
from scripts.pictures.canvas import LEFT, RIGHT, WIDTH, Canvas, Panel
from scripts.pictures.model import Course, ask
from services.aggregation.domain.alarms.rule import (
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import MINUTE

_INK = {"PENDING": "orange", "RAISED": "red"}


def _states(panel: Panel, top: float, found: list[Phase], end_word: str = "CLEARED") -> None:
    """The bar below a panel that says in which state the alarm is."""
    canvas = panel.canvas
    canvas.text(LEFT - 8, top + 15, "alarm", "small muted", "end")
    canvas.rect(LEFT, top, WIDTH - LEFT - RIGHT, 22, "band", 4)
    for phase in found:
        x0, x1 = panel.x(phase.start), panel.x(phase.end)
        canvas.rect(x0, top, x1 - x0, 22, f"area {_INK[phase.state]}", 4)
        canvas.rect(x0, top, 3, 22, _INK[phase.state], 1)
        if x1 - x0 > 60:
            canvas.text((x0 + x1) / 2 + 2, top + 15, phase.state, f"small bold {_INK[phase.state]}", "middle")
        if phase.state == "RAISED" and phase.end < panel.end:
            canvas.line([(x1, top - 4), (x1, top + 26)], "line green")
            canvas.text(x1 + 7, top + 15, end_word, "small bold green")


def _minutes(panel: Panel, step: int = 10) -> list[tuple[float, str]]:
    return [(at, f"{at} min") for at in range(0, int(panel.end) + 1, step)]


def threshold() -> Canvas:
    """Above a limit for a while, and back by the hysteresis."""
    course = [
        (0, 21.2), (5, 22.4), (10, 24.4), (15, 23.4), (20, 24.2), (25, 25.1), (30, 25.6), (35, 25.0), (40, 24.3),
        (45, 23.6), (50, 24.4), (55, 23.3), (60, 22.6), (65, 22.1),
    ]  # fmt: skip
    limit, hysteresis = 24.0, 1.0
    found = phases(Threshold(True, limit, hysteresis, 10 * MINUTE), course)
    canvas = Canvas(
        "Threshold: hysteresis and minimum duration",
        340,
        "The alarm is pending for ten minutes, raised, and cleared only when the value is a degree below the limit.",
    )
    panel = Panel(canvas, 60, 170, 0, 70, 20.5, 26.5)
    panel.axes(_minutes(panel), [(v, f"{v} °C") for v in (21, 23, 25)])
    canvas.rect(LEFT, panel.y(limit), WIDTH - LEFT - RIGHT, panel.y(limit - hysteresis) - panel.y(limit), "area orange")
    panel.course([(0, limit), (70, limit)], "thin red dash")
    panel.course([(0, limit - hysteresis), (70, limit - hysteresis)], "thin green dash")
    canvas.text(WIDTH - RIGHT - 4, panel.y(limit) - 6, "limit 24 °C, ABOVE", "small red", "end")
    canvas.text(WIDTH - RIGHT - 4, panel.y(limit - hysteresis) - 6, "hysteresis 1 K", "small orange", "end")
    panel.course(course, "line blue")
    for reading in course:
        canvas.dot(*panel.at(*reading), "blue", 3.5)
    _states(panel, 264, found)
    canvas.text(
        LEFT,
        308,
        "The first visit above the limit is over before min_duration (10 min): PENDING, then forgotten.",
        "small muted",
    )
    canvas.text(LEFT, 325, "Values between the two lines change nothing: the alarm does not flap.", "small muted")
    return canvas


def completeness() -> Canvas:
    """Of closed windows."""
    lost = {31, 33, 36, 38, 39, 44, 46, 47}
    canvas = Canvas(
        "Completeness: judged as each window closes",
        330,
        "Windows of which less than 80 percent of the readings came raise the alarm; the first good one clears it.",
    )
    sent: Course = [(60.0 * place, 20 + math.sin(place / 6)) for place in range(91) if place not in lost]
    panel = Panel(canvas, 66, 150, 0, 90, 0, 1.05)
    panel.axes(_minutes(panel, 15), [(0.5, "50%"), (1.0, "100%")], "received_ratio of windows of 15 minutes")
    raised: float | None = None
    bars: list[Phase] = []
    for place in range(6):
        found = ask(Kind.GAUGE, 60, sent, 900 * place, 900 * place + 900)
        ratio = found.received_ratio or 0.0
        bad, end = ratio < 0.8, 15.0 * place + 15
        x0, x1 = panel.x(15 * place), panel.x(15 * place + 15)
        canvas.rect(
            x0 + 6, panel.y(ratio), x1 - x0 - 12, panel.bottom - panel.y(ratio), f"area {'red' if bad else 'blue'}", 3
        )
        canvas.text((x0 + x1) / 2, panel.y(0.25), f"{ratio:.0%}", f"bold {'red' if bad else 'blue'}", "middle")
        if bad and raised is None:
            raised = end
        elif not bad and raised is not None:
            bars.append(Phase("RAISED", raised, end))
            raised = None
    panel.course([(0, 0.8), (90, 0.8)], "thin red dash")
    canvas.text(panel.x(37.5), panel.y(0.8) - 6, "below 0.8", "small red", "middle")
    _states(panel, 252, bars)
    canvas.text(LEFT, 298, "A window counts when it has closed: the alarm lags by one window.", "small muted")
    canvas.text(LEFT, 315, "ratio: RECEIVED asks what the radio lost, COVERED asks what is not known.", "small muted")
    return canvas


def no_data() -> Canvas:
    """By the clock."""
    readings = [0, 5, 10, 15, 20, 52, 57, 62, 67]
    canvas = Canvas(
        "No data: found by the clock, not by the next reading",
        290,
        "Fifteen minutes after the newest reading the alarm is raised; the next reading clears it.",
    )
    panel = Panel(canvas, 66, 100, 0, 70, 0, 1)
    panel.axes(_minutes(panel), [])
    for at in readings:
        canvas.dot(panel.x(at), panel.y(0.35), "blue")
    canvas.span(panel.x(20), panel.x(35), panel.y(0.75), "after: 15 min", "orange")
    panel.upright(35, "red dash")
    canvas.text(panel.x(35) + 6, panel.top + 10, "no reading has come: raised here, right to a tick", "small")
    _states(panel, 204, [Phase("RAISED", 35, 52)])
    canvas.text(LEFT, 252, "The time counts from the newest event time of each series on its own:", "small muted")
    canvas.text(LEFT, 269, "a silent sensor is found although its neighbours go on.", "small muted")
    return canvas


def flat_line() -> Canvas:
    """A stuck sensor."""
    values = [21.0, 21.4, 21.1, 21.5, 21.6, 21.6, 21.65, 21.6, 21.55, 21.6, 21.6, 21.6, 21.1, 20.9, 21.2]
    course = [(5.0 * place, value) for place, value in enumerate(values)]
    tolerance, duration = 0.1, 30.0
    (found,) = phases(FlatLine(round(duration * MINUTE), tolerance), course)
    since = found.start - duration
    first = next(value for at, value in course if at == since)
    canvas = Canvas(
        "Flat line: a stuck sensor",
        310,
        "Values that stay within the tolerance of the first of them for thirty minutes raise the alarm.",
    )
    panel = Panel(canvas, 60, 160, 0, 72, 20.4, 22.2)
    panel.axes(_minutes(panel), [(v, f"{v} °C") for v in (20.5, 21.0, 21.5, 22.0)])
    top, bottom = panel.y(first + tolerance), panel.y(first - tolerance)
    canvas.rect(panel.x(since), top, panel.x(found.end) - panel.x(since), bottom - top, "area orange")
    canvas.text(panel.x(since) + 4, top - 8, "tolerance ± 0.1 K around the first", "small orange")
    panel.course(course, "line blue")
    for reading in course:
        canvas.dot(*panel.at(*reading), "blue", 3.5)
    canvas.span(panel.x(since), panel.x(found.start), panel.y(20.75), "duration: 30 min", "orange")
    _states(panel, 254, [found])
    return canvas


def rate_of_change() -> Canvas:
    """Too steep."""
    course = [(0, 20.0), (10, 20.2), (20, 20.3), (30, 20.9), (40, 23.4), (50, 25.8), (60, 26.6), (70, 26.7), (80, 26.6)]
    limit = 9.0
    canvas = Canvas(
        "Rate of change: between two readings",
        320,
        "A rise of more than nine kelvin an hour raises the alarm; the first change that is not steeper clears it.",
    )
    panel = Panel(canvas, 60, 170, 0, 85, 19, 28)
    panel.axes(_minutes(panel), [(v, f"{v} °C") for v in (20, 22, 24, 26, 28)])
    for before, after in pairwise(course):
        rate = (after[1] - before[1]) / (after[0] - before[0]) * 60
        steep = rate > limit
        panel.course([before, after], f"line {'red' if steep else 'blue'}")
        middle = panel.at((before[0] + after[0]) / 2, (before[1] + after[1]) / 2)
        canvas.text(
            middle[0] - 8,
            middle[1] - 9,
            f"{rate:+.1f} K/h",
            f"small {'red bold' if steep else 'muted'}",
            "end" if steep else "middle",
        )
    for reading in course:
        canvas.dot(*panel.at(*reading), "blue", 3.5)
    canvas.text(WIDTH - RIGHT - 4, panel.bottom - 12, "limit_per_hour: 9 K, RISING", "small red", "end")
    _states(panel, 264, phases(RateOfChange(limit, Direction.RISING), course))
    canvas.text(
        LEFT,
        308,
        "With `over` the change is taken between readings at least that far apart, so that noise is no rise.",
        "small muted",
    )
    return canvas


def container() -> Canvas:
    """Full, and emptied."""
    levels = [62, 70, 78, 84, 90, 95, 0, 8, 15, 24]
    course: Course = [(2.0 * place, float(level)) for place, level in enumerate(levels)]
    full = 85.0
    canvas = Canvas(
        "Containers: full, and emptied",
        350,
        "The container is full from 85 percent; emptying it clears that alarm, and is an alarm of its own.",
    )
    panel = Panel(canvas, 60, 160, 0, 19, 0, 110)
    panel.axes([(at, f"{at} h") for at in range(0, 19, 2)], [(v, f"{v} %") for v in (0, 25, 50, 75, 100)])
    stairs: list[tuple[float, float]] = []
    for at, value in course:
        if stairs:
            stairs.append((at, stairs[-1][1]))
        stairs.append((at, value))
    panel.under(stairs, "blue")
    panel.course(stairs, "line blue")
    panel.course([(0, full), (19, full)], "thin red dash")
    canvas.text(LEFT + 4, panel.y(full) - 6, "level 85 %", "small red")
    for reading in course:
        canvas.dot(*panel.at(*reading), "blue", 3.5)
    (found,) = phases(ContainerEmptied(), course)
    emptied = found.start
    _states(panel, 254, phases(ContainerFull(full), course))
    canvas.text(LEFT - 8, 254 + 51, "emptied", "small muted", "end")
    canvas.rect(LEFT, 254 + 36, WIDTH - LEFT - RIGHT, 22, "band", 4)
    canvas.rect(panel.x(emptied) - 2, 254 + 36, 5, 22, "red", 1)
    canvas.text(panel.x(emptied) + 10, 254 + 51, "raised and cleared at once", "small bold")
    canvas.text(panel.x(emptied) + 10, panel.y(40), "the level is 0", "small muted")
    canvas.text(LEFT, 334, "The emptied lane is consolidated ahead of all bulk traffic.", "small muted")
    return canvas
