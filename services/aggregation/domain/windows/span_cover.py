"""Which stored windows and raw readings cover a span: the largest windows that fit, smaller ones at the edges,
readings for the rest. Their number does not depend on the length of the history."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.aggregation.domain.series import Kind, SeriesInfo
from services.aggregation.domain.times import NO_END


class SpanQuery(NamedTuple):
    """A span [start, end) of a series that is to be read, with windows up to `level` (-1: none). `settled`: a counter
    is judged by readings up to this time only."""

    series: SeriesInfo
    start: int
    end: int
    level: int
    settled: int = NO_END


@dataclass(slots=True)
class Cover:
    """Disjoint ranges that have to be read: windows by level, raw readings."""

    windows: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    """(level, from, to): windows that start in [from, to)."""
    raw: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    """[from, to), ascending, never touching."""


def cover(series: SeriesInfo, steps: Sequence[int], start: int, end: int, level: int) -> Cover:
    """Covers [start, end) with windows up to `level` (-1: none), and its neighbourhood as far as a segment may
    reach."""
    found = Cover()
    raw = [(start - series.max_gap, start), (end, end + series.max_gap)]
    _cover(series, steps, start, end, level, found, raw)
    for first, last in sorted(raw):
        if series.kind == Kind.COUNTER:
            # At the start of a finest window the accepted level is known.
            first -= first % steps[0]
        if found.raw and first <= found.raw[-1][1]:
            found.raw[-1] = (found.raw[-1][0], max(last, found.raw[-1][1]))
        else:
            found.raw.append((first, last))
    return found


def _cover(
    series: SeriesInfo,
    steps: Sequence[int],
    start: int,
    end: int,
    level: int,
    found: Cover,
    raw: list[tuple[int, int]],
) -> None:
    if start >= end:
        return
    if level < 0 or not series.frontiers:
        raw.append((start, end))
        return
    step = steps[level]
    first = -(-start // step) * step
    last = min(end - end % step, series.frontiers[level])
    if first >= last:
        _cover(series, steps, start, end, level - 1, found, raw)
        return
    _cover(series, steps, start, first, level - 1, found, raw)
    found.windows.append((level, first, last))
    _cover(series, steps, last, end, level - 1, found, raw)
