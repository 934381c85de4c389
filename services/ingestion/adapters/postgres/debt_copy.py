"""Rows of debts in the binary format of COPY: no text is parsed again by the server.

The columns of a row are amount, due_date, line, debt_file (together of fixed size), then the texts. A numeric is sent
as base-10000 digits: here always five before the point and one behind it.
"""

from typing import Final
from uuid import UUID

import numpy as np

from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.varlen_bytes import place

COLUMNS: Final = (
    "amount", "due_date", "line", "debt_file", "name", "government_id", "email", "id", "currency", "language"
)  # fmt: skip
_TEXTS: Final = (0, 1, 2, 5, 6, 7)  # of the columns of the file: the others are sent as numbers
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_POSTGRES_EPOCH: Final = 10_957
"""Days from 1970-01-01 to 2000-01-01."""

_FIXED: Final = np.dtype(
    [
        ("columns", ">i2"),
        ("amount_size", ">i4"),
        ("digits", ">i2"),
        ("weight", ">i2"),
        ("sign", ">i2"),
        ("scale", ">i2"),
        ("amount", ">i2", (6,)),
        ("due_date_size", ">i4"),
        ("due_date", ">i4"),
        ("line_size", ">i4"),
        ("line", ">i8"),
        ("debt_file_size", ">i4"),
        ("debt_file", "V16"),
    ]
)


def encode(rows: DebtRows, file_id: str) -> bytes:
    """The content of a COPY of `rows` into `COLUMNS`."""
    count = len(rows)
    starts, ends = rows.starts[:, _TEXTS], rows.ends[:, _TEXTS]
    sizes = ends - starts
    text_at = np.cumsum(sizes + 4, axis=1) - sizes + _FIXED.itemsize
    row_sizes = sizes.sum(axis=1) + 4 * len(_TEXTS) + _FIXED.itemsize
    row_at = np.cumsum(row_sizes) - row_sizes + len(_HEADER)
    out = np.empty(len(_HEADER) + int(row_sizes.sum()) + len(_TRAILER), np.uint8)
    out[: len(_HEADER)] = np.frombuffer(_HEADER, np.uint8)
    out[-len(_TRAILER) :] = np.frombuffer(_TRAILER, np.uint8)
    fixed = _fixed(rows, file_id).view(np.uint8).reshape(count, _FIXED.itemsize).ravel()
    width = np.full(count, _FIXED.itemsize)
    place(out, row_at, fixed, np.arange(count) * _FIXED.itemsize, width)
    for column in range(len(_TEXTS)):
        at = row_at + text_at[:, column]
        length = sizes[:, column].astype(">i4").view(np.uint8)
        place(out, at - 4, length, np.arange(count) * 4, np.full(count, 4))
        place(out, at, rows.source, starts[:, column], sizes[:, column])
    return out.tobytes()


def _fixed(rows: DebtRows, file_id: str) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    fixed = np.zeros(len(rows), _FIXED)
    fixed["columns"] = len(COLUMNS)
    fixed["amount_size"], fixed["digits"], fixed["weight"], fixed["scale"] = 20, 6, 4, rows.places
    tens = 10 ** np.arange(5)
    whole, behind = np.divmod(rows.minor, tens[rows.places])
    for digit in range(4, -1, -1):
        whole, fixed["amount"][:, digit] = np.divmod(whole, 10_000)
    fixed["amount"][:, 5] = behind * tens[4 - rows.places]
    fixed["due_date_size"], fixed["due_date"] = 4, rows.days - _POSTGRES_EPOCH
    fixed["line_size"], fixed["line"] = 8, rows.lines
    fixed["debt_file_size"], fixed["debt_file"] = 16, np.void(UUID(file_id).bytes)
    return fixed
