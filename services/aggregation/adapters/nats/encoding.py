"""Protobuf of many closed windows at once.

The fields of `WindowClosed` that differ from window to window (all after `step`) are written into a table of bytes, a
row for each window, beside a table that says which of them count; together they are the messages, one after another.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.aggregation.domain.figures import Figures
from services.aggregation.domain.summary import SECOND, Bools, Floats, Ints
from tocsin.events.v1.windows_pb2 import WindowClosed

Bytes = NDArray[np.uint8]

_VARINT, _FIXED64, _DELIMITED = 0, 1, 2
_VARINT_BYTES: Final = 9
"""Enough for what is not negative."""
_SECONDS, _NANOS = bytes([1 << 3]), bytes([2 << 3])
"""Tags of the fields of Timestamp and Duration."""


def tails(start: Ints, revision: Ints, found: Figures) -> list[bytes]:
    """What follows `step` in the message of each window."""
    table = _Table(len(start))
    always = np.ones(len(start), bool)
    seconds = start // SECOND
    table.moment("start", seconds)
    table.moment("end", seconds + found.length // SECOND)
    table.number(_tag("revision", _VARINT), revision)
    table.number(_tag("count", _VARINT), found.rows["count"])
    for name in ("min", "max", "first", "last"):
        table.double(name, found.rows[name], always)
    mean, weighted = found.mean, found.time_weighted_mean
    table.double("mean", mean, np.isfinite(mean))
    table.double("time_weighted_mean", weighted, np.isfinite(weighted))
    table.double("received_ratio", found.received_ratio, found.expected > 0)
    covered = found.covered_ratio
    table.double("covered_ratio", covered, covered != 0.0)
    table.moment("longest_gap", found.longest_gap // SECOND, found.longest_gap % SECOND * 1000)
    table.double("consumption", found.consumption, found.counter & np.isfinite(found.consumption))
    return table.rows()


def _tag(name: str, kind: int) -> bytes:
    number = WindowClosed.DESCRIPTOR.fields_by_name[name].number << 3 | kind
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


def _varint(value: Ints) -> tuple[Bytes, Bools]:
    """The bytes of each value (not negative), and which of them count."""
    shifts = np.arange(0, 7 * _VARINT_BYTES, 7)
    parts = value[:, None] >> shifts
    count = parts != 0
    count[:, 0] = True
    more = np.zeros(count.shape, np.uint8)
    more[:, :-1] = np.where(count[:, 1:], 0x80, 0)
    return (parts & 0x7F).astype(np.uint8) | more, count


class _Table:
    """Fields in the order in which they are added."""

    def __init__(self, rows: int) -> None:
        self._size = rows
        self._bytes: list[Bytes] = []
        self._count: list[Bools] = []

    def number(self, tag: bytes, value: Ints) -> None:
        """A varint; absent where it is 0."""
        there = (value != 0)[:, None]
        self._fixed(tag, there)
        content, count = _varint(value)
        self._add(content, count & there)

    def double(self, name: str, value: Floats, there: Bools) -> None:
        """A double, where it is there."""
        self._fixed(_tag(name, _FIXED64), there[:, None])
        content = np.ascontiguousarray(value, "<f8").view(np.uint8).reshape(self._size, 8)
        self._add(content, np.broadcast_to(there[:, None], content.shape))

    def moment(self, name: str, seconds: Ints, nanos: Ints | None = None) -> None:
        """A Timestamp or a Duration; always there, also when it is empty."""
        inner = _Table(self._size)
        inner.number(_SECONDS, seconds)
        if nanos is not None:
            inner.number(_NANOS, nanos)
        content, count = inner.joined()
        always = np.ones((self._size, 1), bool)
        self._fixed(_tag(name, _DELIMITED), always)
        # At most 20 bytes: its length is one byte.
        self._add(count.sum(axis=1, dtype=np.uint8)[:, None], always)
        self._add(content, count)

    def rows(self) -> list[bytes]:
        """The rows one by one."""
        content, count = self.joined()
        data = content[count].tobytes()
        ends = np.cumsum(count.sum(axis=1)).tolist()
        return [data[first:last] for first, last in zip([0, *ends], ends, strict=False)]

    def _fixed(self, text: bytes, there: Bools) -> None:
        shape = (self._size, len(text))
        self._add(np.broadcast_to(np.frombuffer(text, np.uint8), shape), np.broadcast_to(there, shape))

    def _add(self, content: Bytes, count: Bools) -> None:
        self._bytes.append(content)
        self._count.append(count)

    def joined(self) -> tuple[Bytes, Bools]:
        """The tables as they are."""
        return np.concatenate(self._bytes, axis=1), np.concatenate(self._count, axis=1)
