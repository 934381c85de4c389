"""Which stored windows say something else because what lies beside them has changed: the parts of segments that cross
their edges, and the increases of a counter."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.statistics import NOWHERE, Edge, edge_share, segment
from services.aggregation.domain.summary import NEVER, Kind, Rows, unbounded

_ROUNDING = 1e-9
_NO_EDGE = Edge(NEVER, NEVER, 0.0)


class Side(NamedTuple):
    """Kind and `max_gap` of a series, and the step of its windows."""

    kind: int
    max_gap: int
    step: int


@unbounded
def moved(side: Side, before: Mapping[int, Rows], after: Mapping[int, Rows]) -> list[int]:
    """Starts of the windows whose own rows are the same in both, and whose figures are not."""
    old = dict(_outside(side, before))
    found: list[int] = []
    for start, now in _outside(side, after):
        if start in before and before[start] is after[start] and not _same(old[start], now):
            found.append(start)
    return found


def first_edge(windows: Mapping[int, Rows]) -> Edge:
    """The increase that arrives first in them."""
    for start in sorted(windows):
        edge = _edge(windows[start])
        if edge.until != NEVER:
            return edge
    return _NO_EDGE


def first_reading(windows: Mapping[int, Rows]) -> tuple[int, float]:
    """The first one in them."""
    return _ends(windows[min(windows)])[0] if windows else NOWHERE


def _edge(row: Rows) -> Edge:
    return Edge(int(row["edge_from"]), int(row["edge_to"]), float(row["edge"]))


def _ends(row: Rows) -> tuple[tuple[int, float], tuple[int, float]]:
    return (int(row["first_time"]), float(row["first"])), (int(row["last_time"]), float(row["last"]))


def _outside(side: Side, windows: Mapping[int, Rows]) -> Iterator[tuple[int, tuple[float, ...]]]:
    """What crosses the edges of each window, latest first: known time, integral, and share of the next increase."""
    starts = sorted(windows)
    ends = [_ends(windows[start]) for start in starts]
    edge = _NO_EDGE
    for place in range(len(starts) - 1, -1, -1):
        a, b = starts[place], starts[place] + side.step
        first, last = ends[place]
        earlier = ends[place - 1][1] if place else NOWHERE
        later = ends[place + 1][0] if place + 1 < len(ends) else NOWHERE
        head = segment(side.kind, side.max_gap, earlier, first, a, b)
        tail = segment(side.kind, side.max_gap, last, later, a, b)
        share = edge_share(side.max_gap, edge, a, b) if side.kind == Kind.COUNTER else 0.0
        yield a, (*head, *tail, share)
        own = _edge(windows[a])
        if own.until != NEVER:
            edge = own


def _same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return bool(np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True))
