"""Protobuf of many closed windows at once.

The fields of `WindowClosed` that differ from window to window (all after `step`) are written into a table of bytes, a
row for each window, with room for the longest encoding of each field, beside a table that says which of the bytes
count; the bytes that count are the messages, one after another.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.aggregation.domain.columns import Bools, Floats, Ints
from services.aggregation.domain.times import SECOND
from services.aggregation.domain.windows.columnar_statistics import ColumnarStatistics
from tocsin.events.v1.windows_pb2 import WindowClosed

_VARINT, _FIXED64, _DELIMITED = 0, 1, 2
_VARINT_BYTES: Final = 9
"""Enough for what is not negative."""
_SHIFTS: Final = np.arange(0, 7 * _VARINT_BYTES, 7)
_SECONDS, _NANOS = b"\x08", b"\x10"
"""Tags of the fields of Timestamp and Duration."""


class _Place(NamedTuple):
    """Where a field lies in a row: its tag from `tag` on, its value from `value` to `end`."""

    tag: int
    value: int
    end: int


class _Layout:
    """The bytes that are the same in every row, and the places of the others."""

    def __init__(self) -> None:
        self.template = bytearray()
        self.varints: list[_Place] = []
        self.doubles: dict[str, _Place] = {}
        self.lengths: list[tuple[int, int]] = []
        """Of each message in the message: the place of its length (one byte), the end of its content."""
        for name in ("start", "end"):
            self._inner(name, _SECONDS)
        for name in ("revision", "count"):
            self._varint(_tag(name, _VARINT))
        for name in ("min", "max", "first", "last", "mean", "time_weighted_mean", "received_ratio", "covered_ratio"):
            self._double(name)
        self._inner("longest_gap", _SECONDS, _NANOS)
        self._double("consumption")

    def _inner(self, name: str, *tags: bytes) -> None:
        self.template += _tag(name, _DELIMITED) + b"\0"
        place = len(self.template) - 1
        for tag in tags:
            self._varint(tag)
        self.lengths.append((place, len(self.template)))

    def _varint(self, tag: bytes) -> None:
        self.varints.append(self._place(tag, _VARINT_BYTES))

    def _double(self, name: str) -> None:
        self.doubles[name] = self._place(_tag(name, _FIXED64), 8)

    def _place(self, tag: bytes, size: int) -> _Place:
        start = len(self.template)
        self.template += tag + bytes(size)
        return _Place(start, start + len(tag), len(self.template))


def _tag(name: str, kind: int) -> bytes:
    number = WindowClosed.DESCRIPTOR.fields_by_name[name].number << 3 | kind
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80, number >> 7])


_LAYOUT: Final = _Layout()
_TEMPLATE: Final = np.frombuffer(bytes(_LAYOUT.template), np.uint8)


def tails(start: Ints, revision: Ints, found: ColumnarStatistics) -> list[bytes]:
    """What follows `step` in the message of each window."""
    table = np.tile(_TEMPLATE, (len(start), 1))
    counts = np.ones(table.shape, bool)
    seconds = start // SECOND
    gap = found.longest_gap // SECOND
    _put_varints(
        table,
        counts,
        (
            *(seconds, seconds + found.length // SECOND, revision, found.rows["count"]),
            *(gap, (found.longest_gap - gap * SECOND) * 1000),
        ),
    )
    for name in ("min", "max", "first", "last"):
        _put_double(table, counts, name, found.rows[name])
    mean, weighted = found.mean, found.time_weighted_mean
    _put_double(table, counts, "mean", mean, np.isfinite(mean))
    _put_double(table, counts, "time_weighted_mean", weighted, np.isfinite(weighted))
    _put_double(table, counts, "received_ratio", found.received_ratio, found.expected > 0)
    covered = found.covered_ratio
    _put_double(table, counts, "covered_ratio", covered, covered != 0.0)
    _put_double(table, counts, "consumption", found.consumption, found.counter & np.isfinite(found.consumption))
    for place, end in _LAYOUT.lengths:
        # At most 20 bytes: a length is one byte.
        table[:, place] = np.count_nonzero(counts[:, place + 1 : end], axis=1)
    data = table[counts].tobytes()
    ends = np.cumsum(np.count_nonzero(counts, axis=1)).tolist()
    return [data[first:last] for first, last in zip([0, *ends], ends, strict=False)]


def _put_varints(table: NDArray[np.uint8], counts: Bools, values: tuple[Ints, ...]) -> None:
    """Varints, in the order of the layout; absent where they are 0."""
    parts = np.stack(values, axis=1)[:, :, None] >> _SHIFTS
    used = parts != 0  # a byte counts while something is left of the value
    content = (parts & 0x7F).astype(np.uint8)
    content[:, :, :-1] |= used[:, :, 1:].view(np.uint8) << 7
    for at, (tag, value, end) in enumerate(_LAYOUT.varints):
        table[:, value:end] = content[:, at]
        counts[:, value:end] = used[:, at]
        counts[:, tag:value] = used[:, at, :1]


def _put_double(table: NDArray[np.uint8], counts: Bools, name: str, value: Floats, there: Bools | None = None) -> None:
    """A double, where it is there."""
    tag, first, end = _LAYOUT.doubles[name]
    table[:, first:end] = np.ascontiguousarray(value, "<f8").view(np.uint8).reshape(len(table), 8)
    if there is not None:
        counts[:, tag:end] = there[:, None]
