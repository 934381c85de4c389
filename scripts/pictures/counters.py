"""Pictures of counters: what a meter showed, what was believed, what was counted."""

from scripts.pictures.canvas import WIDTH, Canvas, Panel
from scripts.pictures.meter import IGNORED, Judged, judge
from scripts.pictures.model import text
from services.aggregation.domain.counters.policy import CounterRules, Policy

Notes = list[tuple[float, float, str]]
"""(time, value, words) beside a reading."""


def _draw(
    title: str,
    describe: str,
    values: list[float],
    rules: CounterRules,
    notes: Notes,
    words: list[str],
    unit: str = "Wh",
) -> Canvas:
    """Above what the meter showed, below what has been counted."""
    found = judge([(10.0 * place, value) for place, value in enumerate(values)], rules)
    canvas = Canvas(title, 412 + 17 * len(words), describe)
    end = 10.0 * (len(values) - 1)
    high = max(values) * 1.18
    upper = Panel(canvas, 72, 130, -4, end + 6, 0, high)
    upper.axes([], [(value, text(value)) for value in _marks(high)], f"what the meter showed ({unit})")
    believed = [one for one in found if one.accepted]
    for piece in _pieces(believed):
        upper.course([(one.time, one.value) for one in piece], "line blue")
    for one in found:
        x, y = upper.at(one.time, one.value)
        if one.correction in IGNORED:
            canvas.cross(x, y, "red", 5.5)
        elif one.held:
            canvas.dot(x, y, "hollow orange", 5)
        else:
            canvas.dot(x, y, "blue")
    for time, value, note in notes:
        canvas.text(upper.x(time), upper.y(value), note, "small bold", "middle")
    totals = [(one.time, one.total) for one in found]
    most = max(total for _, total in totals)
    lower = Panel(canvas, 244, 84, -4, end + 6, 0, most * 1.25 or 1.0)
    lower.axes(
        [(one.time, f"{one.time:g} min") for one in found],
        [(0, "0"), (most, text(most))],
        f"consumption so far ({unit})",
    )
    stairs: list[tuple[float, float]] = []
    for time, total in totals:
        if stairs:
            stairs.append((time, stairs[-1][1]))
        stairs.append((time, total))
    lower.under(stairs, "green")
    lower.course(stairs, "line green")
    canvas.text(lower.x(end) + 4, lower.y(totals[-1][1]) - 7, f"{text(totals[-1][1])} {unit}", "bold green", "end")
    entries = [("dot", "blue", "believed")]
    if any(one.held for one in found):
        entries.append(("hollow", "orange", "held as suspect, then believed"))
    if any(one.correction in IGNORED for one in found):
        entries.append(("cross", "red", "not counted: kept as raw, listed as a correction"))
    canvas.legend(380, entries)
    for place, line in enumerate(words):
        canvas.text(WIDTH / 2 + 20, 402 + 17 * place, line, "small muted", "middle")
    return canvas


def _marks(high: float) -> list[float]:
    step = next(size for size in (200, 500, 1000, 5000) if high / size <= 4.5)
    return [float(step * n) for n in range(int(high / step) + 1)]


def _pieces(believed: list[Judged]) -> list[list[Judged]]:
    """Stretches without a jump."""
    pieces: list[list[Judged]] = []
    for one in believed:
        if one.breaks or not pieces:
            pieces.append([])
        pieces[-1].append(one)
    return pieces


def glitch() -> Canvas:
    """A single drop to zero."""
    return _draw(
        "HOLD_THEN_RESET: a glitch",
        "The meter shows 0 once and goes on from its old level: the zero is ignored.",
        [12000, 12150, 12320, 0, 12600, 12750, 12900],
        CounterRules(),
        [(30, 1400, "GLITCH")],
        [
            "The 0 waits until the next value is back at the level: it was a glitch.",
            "The whole meter reading is never booked.",
        ],
    )


def held_reset() -> Canvas:
    """A new meter."""
    return _draw(
        "HOLD_THEN_RESET: a reset",
        "The meter starts anew; once it has counted twice, counting goes on from the first value.",
        [820, 900, 980, 20, 90, 170, 260, 340],
        CounterRules(),
        [(30, 110, "RESET")],
        [
            "That it counts twice on the new level confirms the reset; a value that stays the same does not.",
            "What grew since the first value counts where it grew; the step down does not.",
        ],
    )


def reset() -> Canvas:
    """Believed at once, and revoked when it was none."""
    return _draw(
        "RESET: believed at once, revoked if it was none",
        "A lower value is a new start and counts from 0, unless the values go on from the old level.",
        [600, 700, 800, 350, 900, 1000, 80, 180, 280],
        CounterRules(Policy.RESET),
        [(30, 165, "REVOKED"), (60, 190, "RESET")],
        [
            "350 Wh count at first, and are taken back when 900 follows: 100 Wh over the old level remain.",
            "The second drop is a reset: the 80 Wh since the new start count at once.",
        ],
    )


def rollover() -> Canvas:
    """The register runs over."""
    return _draw(
        "ROLLOVER: the register ran over",
        "A register of three digits goes from 960 over its end to 20: the step over the end counts.",
        [740, 800, 890, 960, 20, 110, 190],
        CounterRules(Policy.ROLLOVER, register=1000),
        [(40, 120, "ROLLOVER")],
        [
            "From 960 to 20 are 1000 - 960 + 20 = 60: less than half of register_size, so it is plausible.",
            "A step that is not is held as in HOLD_THEN_RESET.",
        ],
        "kWh",
    )


def reject() -> Canvas:
    """Nothing below the level counts."""
    return _draw(
        "REJECT: nothing below the level counts",
        "Every value below the level is ignored, however many there are, until the meter is at its level again.",
        [500, 560, 620, 480, 530, 590, 660, 720],
        CounterRules(Policy.REJECT),
        [(40, 330, "REJECTED, all three")],
        ["However long it lasts: counting goes on when a value is at the level (620) or above it."],
    )


def cap() -> Canvas:
    """Too steep a step."""
    return _draw(
        "max_increase_per_hour: a step that no meter can make",
        "A step above the plausible maximum is held: a glitch when values come back, else a new meter.",
        [400, 470, 1700, 610, 680, 2000, 2080, 2150, 2220],
        CounterRules(cap=1000),
        [(20, 1330, "GLITCH"), (50, 2220, "JUMP")],
        [
            "At 1000 W at most 167 Wh fit into ten minutes. 1700 comes back down: a glitch.",
            "2000 stays: the meter was replaced, and counting goes on from there. The step is never counted.",
        ],
    )
