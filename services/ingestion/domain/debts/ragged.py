"""Copies many short texts of different lengths between byte arrays at once."""

from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from services.ingestion.domain.debts.scan import Bytes, Ints

Out: TypeAlias = Bytes


def place(out: Out, at: Ints, source: Bytes, starts: Ints, sizes: Ints) -> None:
    """Copies `source[starts[i]:starts[i] + sizes[i]]` to `out[at[i]:]`. Texts of one length move together, which is
    several times as fast as moving byte by byte."""
    if not len(at):
        return
    order = np.argsort(sizes.astype(np.uint16), kind="stable")
    edges = np.flatnonzero(np.diff(sizes[order])) + 1
    for group in np.split(order, edges):
        size = int(sizes[group[0]])
        if size:
            window = sliding_window_view(out, size, writeable=True)
            window[at[group]] = sliding_window_view(source, size)[starts[group]]
