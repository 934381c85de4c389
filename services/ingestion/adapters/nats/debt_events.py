"""Encodes DebtsRegistered, many debts at a time.

The wire format of protobuf is written directly: a message object per debt would cost more than everything else that is
done for a row. A test parses the result with the generated class.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.csv_scan import Bytes, Ints
from services.ingestion.domain.debts.varlen_bytes import place
from tocsin.events.v1.debts_pb2 import DebtsRegistered

_TEXTS: Final = (5, 0, 1, 2, 3, 4, 6, 7)  # debtId, name, governmentId, email, amount, due date, currency, language
_TAGS: Final = tuple(
    DebtsRegistered.Debt.DESCRIPTOR.fields_by_name[name].number << 3 | 2
    for name in ("id", "name", "government_id", "email", "amount", "due_date", "currency", "language")
)
_DEBTS_TAG: Final = DebtsRegistered.DESCRIPTOR.fields_by_name["debts"].number << 3 | 2
_ONE_BYTE: Final = 0x80
"""Lengths below this take one byte; no length here takes more than two."""


def encode(rows: DebtRows, file_id: str, issuer: str, batch: int) -> Iterator[tuple[int, bytes]]:
    """Payloads of at most `batch` debts, each with the number of its debts."""
    head = DebtsRegistered(debt_file=file_id).SerializeToString()
    tail = DebtsRegistered(issuer=issuer).SerializeToString()
    debts, edges = _debts(rows)
    for first in range(0, len(rows), batch):
        last = min(first + batch, len(rows))
        yield last - first, head + debts[int(edges[first]) : int(edges[last])].tobytes() + tail


def _debts(rows: DebtRows) -> tuple[Bytes, Ints]:
    """All debts, each as a field of the outer message, and where they begin (and, at last, end)."""
    starts, ends = rows.starts[:, _TEXTS], rows.ends[:, _TEXTS]
    sizes = ends - starts
    heads = np.where(sizes > 0, 2 + (sizes >= _ONE_BYTE), 0)  # what is empty is left out
    inner = (sizes + heads).sum(axis=1)
    outer_heads = 2 + (inner >= _ONE_BYTE)
    edges = np.concatenate((np.zeros(1, np.int64), np.cumsum(inner + outer_heads)))
    out = np.empty(int(edges[-1]), np.uint8)
    _head(out, edges[:-1], _DEBTS_TAG, inner)
    at = edges[:-1] + outer_heads
    for column, tag in enumerate(_TAGS):
        some = sizes[:, column] > 0
        _head(out, at[some], tag, sizes[some, column])
        at = at + heads[:, column]
        place(out, at, rows.source, starts[:, column], sizes[:, column])
        at = at + sizes[:, column]
    return out, edges


def _head(out: Bytes, at: Ints, tag: int, sizes: Ints) -> None:
    """Writes a tag and a length."""
    out[at] = tag
    long = sizes >= _ONE_BYTE
    out[at + 1] = np.where(long, sizes & 0x7F | 0x80, sizes)
    out[at[long] + 2] = sizes[long] >> 7
