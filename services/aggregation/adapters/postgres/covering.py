"""Which stored windows and raw readings answer a question about spans of series."""

from collections.abc import Sequence
from typing import NamedTuple

from services.aggregation.domain.cover import Ask, cover
from services.aggregation.domain.history import RawRange


class Covering(NamedTuple):
    """`windows`: (series id, step, from, to) ranges, each with its place among what is asked in `owners`; `raw`: ranges
    of raw readings."""

    windows: list[tuple[int, int, int, int]]
    owners: list[int]
    raw: list[RawRange]


def covering(steps: Sequence[int], asks: Sequence[Ask]) -> Covering:
    """What to read for all of them."""
    windows: list[tuple[int, int, int, int]] = []
    owners: list[int] = []
    raw: list[RawRange] = []
    for place, ask in enumerate(asks):
        found = cover(ask.series, steps, ask.start, ask.end, ask.level)
        windows += [(ask.series.id, steps[depth], first, last) for depth, first, last in found.windows]
        owners += [place] * len(found.windows)
        raw += [RawRange(place, first, last) for first, last in found.raw]
    return Covering(windows, owners, raw)
