"""Copies many short texts of different lengths between byte arrays at once."""

import itertools

import numpy as np
import numpy.typing as npt

from services.ingestion.domain.debts.csv_scan import Bytes, Ints


def windows(source: Bytes, size: int) -> "npt.NDArray[np.void]":
    """Every run of `size` bytes in `source`, as one item each and without copying: item i begins at byte i."""
    return np.ndarray((len(source) - size + 1,), f"V{size}", source, strides=(1,))


def place(out: Bytes, at: Ints, source: Bytes, starts: Ints, sizes: Ints) -> None:
    """Copies `source[starts[i]:starts[i] + sizes[i]]` to `out[at[i]:]`. Texts of one length move together, which is
    several times as fast as moving byte by byte."""
    if not len(at):
        return
    if (sizes == sizes[0]).all():
        if size := int(sizes[0]):
            windows(out, size)[at] = windows(source, size)[starts]
        return
    order = np.argsort(sizes.astype(np.uint16), kind="stable")
    ordered, at, starts = sizes[order], at[order], starts[order]
    edges = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1).tolist(), len(order)]
    for first, end in itertools.pairwise(edges):
        if size := int(ordered[first]):
            windows(out, size)[at[first:end]] = windows(source, size)[starts[first:end]]
