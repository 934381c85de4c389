"""Finds records and fields in a block of CSV, many at a time.

Quotes decide what is structure: a terminator or delimiter counts where an even number of quotes stands before it. That
holds as long as every quote opens or closes a field as `csv_record.py` demands; the scan stops before the first record
in which one does not, or which is too long, and leaves that one to the exact reader.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from services.ingestion.domain.debts.csv_record import MAX_RECORD
from services.ingestion.domain.debts.header import COLUMNS, Layout

Ints: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]

_QUOTE: Final = 0x22
_CR: Final = 0x0D
_LF: Final = 0x0A
_C1_LEAD: Final = 0xC2
_C1_END: Final = 0xA0


@dataclass(frozen=True, slots=True)
class Scan:
    """Records `[starts[i], ends[i])` in order, without blank ones. `lines` counts the lines before a record from 0.
    `fields` has the bounds of the fields (records x columns) of the records that `plain` marks; the others must be read
    exactly. `stop` is where the scan ended, `lines_done` the lines up to there; `odd` when the record at `stop` breaks
    the rules, else it is merely not complete."""

    starts: Ints
    ends: Ints
    lines: Ints
    plain: Flags
    field_starts: Ints
    field_ends: Ints
    stop: int
    lines_done: int
    odd: bool


def scan(block: Bytes, layout: Layout) -> Scan:
    """Scans `block`, which begins at the start of a record."""
    breaks = np.flatnonzero(block == layout.terminator)
    delimiters = np.flatnonzero(block == layout.delimiter)
    quotes = np.flatnonzero(block == _QUOTE)
    inside: Ints = np.empty(0, np.int64)  # terminators and delimiters within quotes
    ends = breaks
    limit = len(block)
    odd = False
    if quotes.size:
        if (wrong := _wrong_quote(block, quotes, layout)) is not None:
            limit, odd = wrong, True
        quoted = np.searchsorted(quotes, breaks) % 2 == 1
        inside, ends = breaks[quoted], breaks[~quoted]
        quoted = np.searchsorted(quotes, delimiters) % 2 == 1
        inside = np.concatenate((inside, delimiters[quoted])) if layout.delimiter == 0x09 else inside
        delimiters = delimiters[~quoted]
    ends = ends[ends < limit]
    starts = np.concatenate((np.zeros(1, np.int64), ends + 1))
    stop, starts = int(starts[-1]), starts[:-1]
    long = np.flatnonzero(ends - starts > MAX_RECORD)
    if long.size:
        first = int(long[0])
        stop, odd = int(starts[first]), True
        starts, ends = starts[:first], ends[:first]
    lines = np.searchsorted(breaks, starts)
    done = int(np.searchsorted(breaks, stop))
    tails = ends
    if layout.terminator == _LF and ends.size:
        tails = ends - ((block[ends - 1] == _CR) & (ends > starts))
    kept = tails > starts  # a blank line is no record
    if not kept.all():
        starts, ends, tails, lines = starts[kept], ends[kept], tails[kept], lines[kept]
    plain = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, starts) == len(COLUMNS) - 1
    for places in (inside, _strange(block, layout)):
        _unmark(plain, starts, ends, places)
    field_starts, field_ends = _fields(block, plain, starts, tails, delimiters, quotes)
    return Scan(starts, ends, lines, plain, field_starts, field_ends, stop, done, odd)


def _wrong_quote(block: Bytes, quotes: Ints, layout: Layout) -> int | None:
    """The first quote that neither opens nor closes a field as it should."""
    edges = (layout.delimiter, layout.terminator)
    opening, closing = quotes[0::2], quotes[1::2]
    before = block[opening - 1]  # for an opening quote at 0 this is the last byte, and not asked
    doubled = np.zeros(len(opening), np.bool_)
    doubled[1:] = opening[1:] == closing[: len(opening) - 1] + 1
    opens = (opening == 0) | (before == edges[0]) | (before == edges[1]) | doubled
    known = closing[closing + 1 < len(block)]  # what is cut off after its quote is not complete anyway
    after = block[known + 1]
    closes = (after == edges[0]) | (after == edges[1]) | (after == _QUOTE)
    if layout.terminator == _LF:
        beyond = block[np.minimum(known + 2, len(block) - 1)]
        closes |= (after == _CR) & ((beyond == _LF) | (known + 2 >= len(block)))
    wrong = [int(found[0]) for found in (opening[~opens], known[~closes]) if found.size]
    return min(wrong, default=None)


def _strange(block: Bytes, layout: Layout) -> Ints:
    """Where control characters stand that are no structure."""
    low = np.flatnonzero(block < 0x20)
    value = block[low]
    structure = (value == layout.delimiter) | (value == layout.terminator) | (value == _CR)
    found = [low[~structure], np.flatnonzero(block == 0x7F)]
    if layout.terminator == _LF:
        returns = np.flatnonzero(block[:-1] == _CR)
        found.append(returns[block[returns + 1] != _LF])
    leads = np.flatnonzero(block[:-1] == _C1_LEAD)
    found.append(leads[block[leads + 1] < _C1_END])
    return np.concatenate(found)


def _unmark(plain: Flags, starts: Ints, ends: Ints, places: Ints) -> None:
    """Clears the flag of the records that hold one of `places`."""
    if not (places.size and ends.size):
        return
    records = np.minimum(np.searchsorted(ends, places), len(ends) - 1)
    within = (places >= starts[records]) & (places < ends[records])
    plain[records[within]] = False


def _fields(block: Bytes, plain: Flags, starts: Ints, tails: Ints, delimiters: Ints, quotes: Ints) -> tuple[Ints, Ints]:
    """The bounds of the fields of the plain records, inside their quotes. Records with doubled quotes lose the flag."""
    begins, tails = starts[plain], tails[plain]
    cuts = delimiters[np.searchsorted(delimiters, begins)[:, None] + np.arange(len(COLUMNS) - 1)]
    field_starts = np.column_stack((begins, cuts + 1))
    field_ends = np.column_stack((cuts, tails))
    if not quotes.size or not begins.size:
        return field_starts, field_ends
    quoted = (block[np.minimum(field_starts, len(block) - 1)] == _QUOTE) & (field_ends - field_starts > 1)
    found = np.searchsorted(quotes, tails) - np.searchsorted(quotes, begins)
    simple = found == 2 * quoted.sum(axis=1)
    plain[np.flatnonzero(plain)[~simple]] = False
    return (field_starts + quoted)[simple], (field_ends - quoted)[simple]
