"""Columns: arrays with one row for each reading, window or series, and what is done with all rows at once."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]


Floats: TypeAlias = NDArray[np.float64]


Bools: TypeAlias = NDArray[np.bool_]


Rows: TypeAlias = NDArray[Any]
"""A structured array."""


unbounded: Final = np.errstate(over="ignore", invalid="ignore")
"""Decorator: sums of values near the end of what a double holds become infinite, which is no error of the program."""


# numpy moves structured rows field by field; as opaque bytes they move ten times as fast.


def pick(rows: Rows, at: Ints | Bools | slice) -> Rows:
    """A copy of the rows chosen by index or mask."""
    return _opaque(rows)[at].copy().view(rows.dtype) if isinstance(at, slice) else _opaque(rows)[at].view(rows.dtype)


def put(rows: Rows, at: Ints | Bools, new: Rows) -> None:
    """Replaces the rows at these places."""
    _opaque(rows)[at] = _opaque(new)


def chain(first: Rows, second: Rows) -> Rows:
    """One after the other; both of the same type."""
    return np.concatenate([_opaque(first), _opaque(second)]).view(first.dtype)


def _opaque(rows: Rows) -> Rows:
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def heads_of(series: Ints, start: Ints) -> Ints:
    """Where each run of equal (series, start) begins."""
    if not len(series):
        return np.zeros(0, np.int64)
    new = np.ones(len(series), bool)
    new[1:] = (series[1:] != series[:-1]) | (start[1:] != start[:-1])
    return np.flatnonzero(new)


def order_by(series: Ints) -> Ints:
    """The stable order by series; their small numbers sort by radix."""
    return np.argsort(series.astype(np.uint16) if len(series) and int(series.max()) < 2**16 else series, kind="stable")
