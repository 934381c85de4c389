"""Protobuf's packed fields, written straight from numpy arrays.

The runtime packs a Python sequence value by value (tens of nanoseconds each); here a column of fixed-width values is
one copy of its memory, and a column of small varints a handful of array operations. The result is what the generated
class would have written; tests hold both against each other.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTH_DELIMITED = 2


def varint(value: int) -> bytes:
    """An unsigned integer of up to 64 bits."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(field: int, content: bytes) -> bytes:
    """A length-delimited field: a string, a message, a packed column."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def packed_doubles(field: int, values: NDArray[np.float64]) -> bytes:
    """A packed `repeated double`."""
    return delimited(field, values.astype("<f8", copy=False).tobytes())


def packed_sfixed64(field: int, values: NDArray[np.int64]) -> bytes:
    """A packed `repeated sfixed64`."""
    return delimited(field, values.astype("<i8", copy=False).tobytes())


def packed_uint32(field: int, values: NDArray[Any]) -> bytes:
    """A packed `repeated uint32`."""
    maximum = int(values.max(initial=0))
    if maximum < 0x80:
        return delimited(field, values.astype(np.uint8).tobytes())
    width = (maximum.bit_length() + 6) // 7
    wide = values.astype(np.uint32)[:, None] >> np.arange(0, 7 * width, 7, dtype=np.uint32)
    used = wide != 0
    used[:, 0] = True
    digits = (wide & 0x7F).astype(np.uint8)
    # Every byte but the last of a value says that another follows.
    digits[:, :-1] |= used[:, 1:].astype(np.uint8) << 7
    return delimited(field, digits[used].tobytes())
