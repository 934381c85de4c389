"""Pictures of means: edges, levels, gaps, completeness, merging."""

import math
import random
from itertools import pairwise

from scripts.pictures.canvas import LEFT, RIGHT, WIDTH, Canvas, Panel
from scripts.pictures.model import Course, ask, text
from services.aggregation.domain.series import Kind


def time_weighted_mean() -> Canvas:
    """Linear, with the parts of the segments that cross the edges."""
    readings = [(-20, 19.0), (8, 22.0), (14, 23.4), (20, 24.4), (26, 24.8), (50, 21.4), (75, 19.0)]
    found = ask(Kind.GAUGE, 30, readings, 0, 60)
    canvas = Canvas(
        "Time-weighted mean: straight lines, cut at the edges",
        340,
        "The area under the straight lines between readings, cut at both edges of the window, divided by its length.",
    )
    panel = Panel(canvas, 66, 190, -25, 80, 17, 26)
    panel.band(0, 60)
    panel.axes([(at, f"{at} s") for at in (-20, 0, 20, 40, 60, 80)], [(v, f"{v} °C") for v in (18, 20, 22, 24, 26)])
    cut = _between(readings, 0, 60)
    panel.under(cut, "blue")
    panel.course(readings, "line blue")
    panel.upright(0)
    panel.upright(60)
    for at, value in readings:
        canvas.dot(*panel.at(at, value), "blue" if 0 <= at < 60 else "hollow blue")
    for at, value in (cut[0], cut[-1]):
        canvas.rect(panel.x(at) - 4, panel.y(value) - 4, 8, 8, "hollow violet")
    assert found.mean is not None
    assert found.time_weighted_mean is not None
    panel.course([(0, found.time_weighted_mean), (60, found.time_weighted_mean)], "line green")
    panel.course([(0, found.mean), (60, found.mean)], "line orange dash")
    canvas.text(panel.x(60) + 8, panel.y(found.time_weighted_mean) + 16, text(found.time_weighted_mean, "°C"), "green")
    canvas.text(panel.x(60) + 8, panel.y(found.mean) - 6, text(found.mean, "°C"), "orange")
    canvas.text(panel.x(30), panel.bottom - 10, "window [0 s, 60 s)", "small muted", "middle")
    canvas.legend(
        304,
        [
            ("dot", "blue", "readings inside"),
            ("hollow", "blue", "neighbours outside"),
            ("hollow", "violet", "values at the edges"),
            ("line", "green", "time-weighted mean"),
            ("dash", "orange", "arithmetic mean"),
        ],
    )
    return canvas


def _between(readings: Course, start: float, end: float) -> list[tuple[float, float]]:
    """The course inside [start, end], with the values at both edges."""

    def value(at: float) -> float:
        for (t0, v0), (t1, v1) in pairwise(readings):
            if t0 <= at <= t1:
                return v0 + (v1 - v0) * (at - t0) / (t1 - t0)
        raise ValueError(at)

    inside = [(at, found) for at, found in readings if start < at < end]
    return [(start, value(start)), *inside, (end, value(end))]


def level() -> Canvas:
    """The last value is carried forward."""
    readings = [(-15, 35.0), (12, 60.0), (30, 75.0), (42, 0.0), (66, 10.0)]
    found = ask(Kind.LEVEL, 30, readings, 0, 60)
    canvas = Canvas(
        "LEVEL: the last value holds until the next reading",
        310,
        "A filling level is a staircase; the value before the window holds from its start.",
    )
    panel = Panel(canvas, 66, 170, -25, 80, 0, 90)
    panel.band(0, 60)
    panel.axes([(at, f"{at} s") for at in (-20, 0, 20, 40, 60, 80)], [(v, f"{v} %") for v in (0, 30, 60, 90)])
    stairs = _stairs(readings)
    panel.under([(0, 35.0), *[p for p in stairs if 0 < p[0] < 60], (60, 0.0)], "blue")
    panel.course([*stairs, (78, 10.0)], "line blue")
    panel.upright(0)
    panel.upright(60)
    for at, value in readings:
        canvas.dot(*panel.at(at, value), "blue" if 0 <= at < 60 else "hollow blue")
    assert found.time_weighted_mean is not None
    mean = found.time_weighted_mean
    panel.course([(0, mean), (60, mean)], "line green")
    canvas.text(panel.x(60) + 8, panel.y(mean) + 4, text(mean, "%"), "green")
    canvas.text(panel.x(42) + 8, panel.y(6), "emptied", "small muted")
    canvas.legend(
        290,
        [
            ("dot", "blue", "readings inside"),
            ("hollow", "blue", "the reading before is carried in"),
            ("line", "green", "time-weighted mean"),
        ],
    )
    return canvas


def _stairs(readings: Course) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for at, value in readings:
        if points:
            points.append((at, points[-1][1]))
        points.append((at, value))
    return points


def gap() -> Canvas:
    """Beyond max_gap nothing is known."""
    readings = [
        (-5, 20.0),
        (5, 20.6),
        (15, 21.0),
        (25, 21.2),
        (85, 24.0),
        (95, 23.6),
        (105, 23.0),
        (115, 22.8),
        (125, 22),
    ]
    found = ask(Kind.GAUGE, 10, readings, 0, 120)
    canvas = Canvas(
        "A gap longer than max_gap is unknown time",
        320,
        "Nothing is interpolated over a gap of 60 seconds when readings are expected every 10 seconds.",
    )
    panel = Panel(canvas, 66, 170, -10, 135, 18.5, 25)
    panel.axes([(at, f"{at} s") for at in range(0, 121, 20)], [(v, f"{v} °C") for v in (19, 21, 23, 25)])
    for first, last in ((0, 25), (85, 120)):
        panel.under(_between(readings, first, last), "blue")
    panel.course(readings[:4], "line blue")
    panel.course(readings[4:], "line blue")
    panel.band(25, 85)
    panel.course(readings[3:5], "thin grey dash")
    panel.upright(0)
    panel.upright(120)
    for at, value in readings:
        canvas.dot(*panel.at(at, value), "blue" if 0 <= at < 120 else "hollow blue")
    canvas.text(panel.x(55), panel.top + 24, "unknown: 60 s without a reading", "small bold", "middle")
    canvas.text(panel.x(55), panel.top + 42, "max_gap is 3 x 10 s", "small muted", "middle")
    assert found.time_weighted_mean is not None
    canvas.text(
        LEFT,
        288,
        f"covered_ratio {found.covered_ratio:.2f}  ·  received_ratio {found.received_ratio:.2f}  ·  "
        f"longest_gap {found.longest_gap // 1_000_000} s  ·  time_weighted_mean {text(found.time_weighted_mean, '°C')}",
        "bold",
    )
    canvas.text(LEFT, 306, "The mean is over the known half only, and the ratios say so.", "small muted")
    return canvas


def completeness() -> Canvas:
    """Two figures for two questions."""
    chance = random.Random(13)
    sent = [(float(at), 21 + 1.6 * math.sin(at / 45)) for at in range(-10, 311, 5)]
    gone_at = set(chance.sample(range(15, 290, 5), 3))
    lost = [int(at) in gone_at for at, _ in sent]
    kept = [reading for reading, gone in zip(sent, lost, strict=True) if not gone]
    found = ask(Kind.GAUGE, 5, kept, 0, 300)
    canvas = Canvas(
        "Completeness: what was received, and what is known",
        330,
        "Five percent of the readings are lost: the received ratio falls, the covered ratio does not.",
    )
    panel = Panel(canvas, 60, 120, -12, 312, 18.5, 23.5)
    panel.axes([(at, f"{at} s") for at in range(0, 301, 60)], [(v, f"{v} °C") for v in (19, 21, 23)])
    panel.upright(0)
    panel.upright(300)
    panel.course(kept, "thin blue")
    for (at, value), gone in zip(sent, lost, strict=True):
        if gone:
            canvas.cross(*panel.at(at, value), "red", 5)
        else:
            canvas.dot(*panel.at(at, value), "blue" if 0 <= at < 300 else "hollow blue", 2.5)
    assert found.received_ratio is not None
    width = WIDTH - LEFT - RIGHT - 430
    for place, (name, ratio, style, words) in enumerate(
        [
            ("received_ratio", found.received_ratio, "orange", f"{found.count} of 60 expected readings came"),
            ("covered_ratio", found.covered_ratio, "green", "all time lies between near readings"),
        ]
    ):
        y = 232 + 34 * place
        canvas.text(LEFT, y + 12, name, "bold")
        canvas.rect(LEFT + 110, y, width, 16, f"area {style}", 3)
        canvas.rect(LEFT + 110, y, width * ratio, 16, style, 3)
        canvas.text(LEFT + 118 + width, y + 13, f"{ratio:.0%}", f"bold {style}")
        canvas.text(LEFT + 166 + width, y + 12, words, "small muted")
    canvas.legend(314, [("dot", "blue", "received"), ("cross", "red", "lost on the way")])
    return canvas


def merging() -> Canvas:
    """Small summaries meet, and the segment between them is added."""
    minutes = [(60 * n + at, 20 + 2 * math.sin((60 * n + at) / 38)) for n in range(3) for at in (8, 25, 41, 55)]
    canvas = Canvas(
        "Windows merge: a larger one is made of the smaller ones",
        420,
        "Three summaries of a minute and the two segments between them make one summary of three minutes.",
    )
    panel = Panel(canvas, 62, 120, 0, 180, 17.5, 22.5)
    panel.axes([(at, f"{at // 60} min") for at in (0, 60, 120, 180)], [(v, f"{v}") for v in (18, 20, 22)])
    styles = ("blue", "green", "violet")
    whole = ask(Kind.GAUGE, 30, minutes, 0, 180)
    inner: list[float] = []
    for place, style in enumerate(styles):
        own = minutes[4 * place : 4 * place + 4]
        panel.under(own, style)
        panel.course(own, f"line {style}")
        for reading in own:
            canvas.dot(*panel.at(*reading), style)
        span = ask(Kind.GAUGE, 30, own, 60 * place, 60 * place + 60)
        inner.append(span.integral)
        x = panel.x(60 * place) + 6
        canvas.rect(x, 226, panel.x(60) - LEFT - 12, 80, f"area {style}", 6)
        first, last = own[0], own[-1]
        for line, words in enumerate(
            (
                f"count {span.count}, sum {text(span.sum)}",
                f"first {text(first[1])} at {first[0]} s",
                f"last {text(last[1])} at {last[0]} s",
                f"integral {text(span.integral)} over {span.covered // 1_000_000} s",
            )
        ):
            canvas.text(x + 12, 246 + 17 * line, words, "small")
    seams: list[float] = []
    for place in (0, 1):
        segment = minutes[4 * place + 3 : 4 * place + 5]
        panel.under(segment, "orange")
        panel.course(segment, "line orange")
        seams.append((segment[0][1] + segment[1][1]) / 2 * (segment[1][0] - segment[0][0]))
        canvas.arrow((panel.x(60 * (place + 1)), 216), (panel.x(60 * (place + 1)), 330), "orange")
        canvas.dot(panel.x(60 * (place + 1)), 216, "orange", 3)
    assert abs(sum(inner) + sum(seams) - whole.integral) < 1e-6
    canvas.rect(LEFT + 6, 336, WIDTH - LEFT - RIGHT - 12, 44, "area grey", 6)
    canvas.text(
        WIDTH / 2 + 20,
        363,
        f"count {whole.count}  ·  sum {text(whole.sum)}  ·  integral {text(sum(inner))} + {text(sum(seams))} = "
        f"{text(whole.integral)} over {whole.covered // 1_000_000} s",
        "bold",
        "middle",
    )
    canvas.legend(404, [("area", "orange", "segments between neighbours, added when two summaries meet")])
    return canvas
