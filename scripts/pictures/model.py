"""What the pictures show is worked out by the code of the service. Times are seconds here."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import SECOND
from services.aggregation.domain.windows.span_statistics import RawRange, Span, singles, spans
from services.aggregation.domain.windows.statistics import Statistics

ORIGIN: Final = 1_760_000_400
"""The second of the epoch that pictures call 0: a full hour."""

Course = Sequence[tuple[float, float]]
"""(seconds, value), ascending."""


def ask(kind: Kind, interval: int, readings: Course, start: int, end: int) -> Statistics:
    """The span [start, end) of a series with these readings."""
    return _spans(kind, interval, readings, start, end, end - start)[0].statistics


def listed(
    kind: Kind, interval: int, readings: Course, start: int, end: int, step: int
) -> list[tuple[float, int, float]]:
    """(start, count, consumption) of the windows in [start, end) about which something is known."""
    return [
        (found.start / SECOND - ORIGIN, found.statistics.count, found.statistics.consumption or 0.0)
        for found in _spans(kind, interval, readings, start, end, step)
    ]


def _spans(kind: Kind, interval: int, readings: Course, start: int, end: int, step: int) -> list[Span]:
    info = SeriesInfo(1, "b", "r", "t", "d", int(kind), "", interval * SECOND, 3 * interval * SECOND, ())
    times = np.array([round((ORIGIN + at) * 1e6) for at, _ in readings], np.int64)
    values = np.array([value for _, value in readings])
    whole = RawRange(0, int(times[0]), int(times[-1]) + 1)
    parts = singles([info], [whole], Readings(np.zeros(len(times), np.int64), times, values))
    first, last = (ORIGIN + start) * SECOND, (ORIGIN + end) * SECOND
    return spans([info], parts, first, last, step * SECOND)


def text(value: float | None, unit: str = "") -> str:
    """A value for people, to a hundredth."""
    return "none" if value is None else f"{value:.2f}".rstrip("0").rstrip(".") + (f" {unit}" if unit else "")
