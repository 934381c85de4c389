"""A little SVG: a card with a title, panels with axes, and what is drawn into them.

Every picture has a background of its own, in the reader's colour scheme, so that it can be read on any page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

WIDTH: Final = 760
LEFT, RIGHT = 64, 24

_LIGHT: Final = {
    "back": "#ffffff",
    "words": "#1f2328",
    "muted": "#59636e",
    "rim": "#d1d9e0",
    "axis": "#818b98",
    "blue": "#0969da",
    "green": "#1a7f37",
    "orange": "#bc4c00",
    "red": "#cf222e",
    "violet": "#8250df",
    "grey": "#818b98",
}
_DARK: Final = {
    "back": "#0d1117",
    "words": "#f0f6fc",
    "muted": "#9198a1",
    "rim": "#3d444d",
    "axis": "#6e7681",
    "blue": "#4493f8",
    "green": "#3fb950",
    "orange": "#f0883e",
    "red": "#f85149",
    "violet": "#ab7df8",
    "grey": "#6e7681",
}


def _colours(scheme: dict[str, str]) -> str:
    inks = ("blue", "green", "orange", "red", "violet", "grey")
    return "".join(
        [
            f"text{{fill:{scheme['words']}}}.card{{fill:{scheme['back']};stroke:{scheme['rim']}}}",
            f".muted{{fill:{scheme['muted']}}}.axis{{stroke:{scheme['axis']}}}.grid{{stroke:{scheme['rim']}}}",
            *(f".{ink}{{fill:{scheme[ink]};stroke:{scheme[ink]}}}" for ink in inks),
            f".hollow{{fill:{scheme['back']}!important}}",
        ]
    )


_STYLE: Final = "\n".join(
    [
        'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;font-size:13px}',
        _colours(_LIGHT),
        f"@media (prefers-color-scheme:dark){{{_colours(_DARK)}}}",
        "text{stroke:none!important}.title{font-size:16px;font-weight:600}.small{font-size:12px}.bold{font-weight:600}",
        ".axis,.grid,.line,.thin{fill:none!important}.line{stroke-width:2}.thin{stroke-width:1.2}",
        ".area{stroke:none!important;fill-opacity:.18}.band{fill:#818b98;fill-opacity:.12}.hollow{stroke-width:2}",
        ".dash{stroke-dasharray:5 4}",
    ]
)


def number(value: float) -> str:
    """A coordinate, short and the same on every machine."""
    return f"{value + 0.0:.1f}".removesuffix(".0")


@dataclass
class Canvas:
    """The picture. `describe` says in words what it shows."""

    title: str
    height: int
    describe: str
    _parts: list[str] = field(default_factory=list[str])

    def svg(self) -> str:
        """The whole file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}" '
            f'viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.describe)}">\n'
            f"<title>{escape(self.title)}</title>\n<desc>{escape(self.describe)}</desc>\n"
            f"<style>{_STYLE}</style>\n"
            f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1}" rx="10"/>\n'
            f'<text class="title" x="20" y="30">{escape(self.title)}</text>\n'
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"

    def text(self, x: float, y: float, text: str, style: str = "", anchor: str = "start") -> None:
        """Words. `anchor`: start, middle or end."""
        self._parts.append(
            f'<text class="{style}" x="{number(x)}" y="{number(y)}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A line through points."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._parts.append(f'<polyline class="{style}" points="{path}"/>')

    def area(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A filled polygon."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._parts.append(f'<polygon class="area {style}" points="{path}"/>')

    def rect(self, x: float, y: float, width: float, height: float, style: str, radius: float = 0) -> None:
        """A box."""
        self._parts.append(
            f'<rect class="{style}" x="{number(x)}" y="{number(y)}" width="{number(width)}" '
            f'height="{number(height)}" rx="{number(radius)}"/>'
        )

    def dot(self, x: float, y: float, style: str, radius: float = 4.5) -> None:
        """A reading."""
        self._parts.append(f'<circle class="{style}" cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"/>')

    def cross(self, x: float, y: float, style: str, size: float = 5) -> None:
        """A reading that does not count."""
        self.line([(x - size, y - size), (x + size, y + size)], f"line {style}")
        self.line([(x - size, y + size), (x + size, y - size)], f"line {style}")

    def arrow(self, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
        """A line with a head at its end."""
        (x0, y0), (x1, y1) = start, end
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        base = x1 - 8 * ux, y1 - 8 * uy
        self.line([start, base], f"thin {style}")
        path = [end, (base[0] - 4 * uy, base[1] + 4 * ux), (base[0] + 4 * uy, base[1] - 4 * ux)]
        points = " ".join(f"{number(x)},{number(y)}" for x, y in path)
        self._parts.append(f'<polygon class="{style}" stroke-width="0" points="{points}"/>')

    def span(self, x0: float, x1: float, y: float, text: str, style: str = "grey") -> None:
        """A measured stretch with its name below."""
        self.line([(x0, y - 4), (x0, y + 4)], f"thin {style}")
        self.line([(x1, y - 4), (x1, y + 4)], f"thin {style}")
        self.line([(x0, y), (x1, y)], f"thin {style}")
        self.text((x0 + x1) / 2, y + 17, text, f"small {style}" if style != "grey" else "small muted", "middle")

    def legend(self, y: float, entries: Sequence[tuple[str, str, str]], x: float = LEFT) -> None:
        """(mark, style, words) in a row, or two. Marks: dot, hollow, cross, line, dash, area."""
        first = x
        for mark, style, words in entries:
            if x > first and x + 20 + 6.6 * len(words) > WIDTH - 16:
                x, y = first, y + 20
            if mark in ("dot", "hollow"):
                self.dot(x + 6, y - 4, f"hollow {style}" if mark == "hollow" else style)
            elif mark == "cross":
                self.cross(x + 6, y - 4, style, 4.5)
            elif mark == "area":
                self.rect(x, y - 10, 13, 12, f"area {style}")
            else:
                self.line([(x - 2, y - 4), (x + 14, y - 4)], f"line {style}" + (" dash" if mark == "dash" else ""))
            self.text(x + 20, y, words, "small")
            x += 40 + 6.4 * len(words)


@dataclass(frozen=True)
class Panel:
    """A part of the canvas with a time and a value axis."""

    canvas: Canvas
    top: float
    height: float
    start: float
    end: float
    low: float
    high: float

    def x(self, time: float) -> float:
        """Where a time is."""
        return LEFT + (time - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value is."""
        return self.top + self.height - (value - self.low) / (self.high - self.low) * self.height

    def at(self, time: float, value: float) -> tuple[float, float]:
        """Where a reading is."""
        return self.x(time), self.y(value)

    @property
    def bottom(self) -> float:
        """Of the panel."""
        return self.top + self.height

    def axes(self, times: Sequence[tuple[float, str]], values: Sequence[tuple[float, str]], name: str = "") -> None:
        """The frame, with marks."""
        for value, text in values:
            self.canvas.line([(LEFT, self.y(value)), (WIDTH - RIGHT, self.y(value))], "grid")
            self.canvas.text(LEFT - 8, self.y(value) + 4, text, "small muted", "end")
        self.canvas.line([(LEFT, self.bottom), (WIDTH - RIGHT, self.bottom)], "axis")
        for time, text in times:
            self.canvas.line([(self.x(time), self.bottom), (self.x(time), self.bottom + 5)], "axis")
            self.canvas.text(self.x(time), self.bottom + 19, text, "small muted", "middle")
        if name:
            self.canvas.text(LEFT, self.top - 8, name, "small muted")

    def upright(self, time: float, style: str = "grey dash") -> None:
        """A line at a time."""
        self.canvas.line([(self.x(time), self.top), (self.x(time), self.bottom)], f"thin {style}")

    def band(self, start: float, end: float, style: str = "band") -> None:
        """A stretch of time."""
        self.canvas.rect(self.x(start), self.top, self.x(end) - self.x(start), self.height, style)

    def under(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """The area between a course and the bottom."""
        course = [self.at(*point) for point in points]
        self.canvas.area([(course[0][0], self.bottom), *course, (course[-1][0], self.bottom)], style)

    def course(self, points: Sequence[tuple[float, float]], style: str) -> None:
        """A line through (time, value)."""
        self.canvas.line([self.at(*point) for point in points], style)
