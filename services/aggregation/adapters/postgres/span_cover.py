"""Which stored windows and raw readings answer a question about spans of series."""

from collections.abc import Sequence
from typing import NamedTuple

from services.aggregation.domain.windows.span_cover import SpanQuery, cover
from services.aggregation.domain.windows.span_statistics import RawRange


class CoverQuery(NamedTuple):
    """`windows`: (series id, step, from, to) ranges, each with its place among what is asked in `owners`; `raw`: ranges
    of raw readings."""

    windows: list[tuple[int, int, int, int]]
    owners: list[int]
    raw: list[RawRange]


def cover_query(steps: Sequence[int], asks: Sequence[SpanQuery]) -> CoverQuery:
    """What to read for all of them."""
    windows: list[tuple[int, int, int, int]] = []
    owners: list[int] = []
    raw: list[RawRange] = []
    for place, ask in enumerate(asks):
        found = cover(ask.series, steps, ask.start, ask.end, ask.level)
        windows += [(ask.series.id, steps[depth], first, last) for depth, first, last in found.windows]
        owners += [place] * len(found.windows)
        raw += [RawRange(place, first, last, settled=ask.settled) for first, last in found.raw]
    return CoverQuery(windows, owners, raw)
