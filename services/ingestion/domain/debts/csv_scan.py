"""Finds lines and fields in a block of CSV, many at a time: what is plain. All else is for `csv_record.py`."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from services.ingestion.domain.debts.csv_record import MAX_RECORD

Ints: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]

_QUOTE: Final = 0x22
_LF: Final = 0x0A
_PLAIN_LEADS: Final = (*range(0xC3, 0xCA), 0xD0, 0xD1, *range(0xE4, 0xEA), 0xEB, 0xEC)
"""Letters of Latin and Cyrillic, and signs of Chinese, Japanese and Korean that are normal (NFC) whatever follows them
within these. Other text is for the exact rules, which know what is invisible, directional or not normal."""
_MAYBE_BROKEN: Final = (
    re.compile(rb"\xc3[\x82-\x85\x90\x91\xa2][\xc4-\xc6]"),
    re.compile(rb"\xc4[\x82\xb9][\xc4\xc5]"),
    re.compile(rb"&#?[A-Za-z0-9]{2,8};"),
)
"""Two letters of Latin that may be one that was converted twice (Ãœ, which was Ü), and letters as web pages write them.
(Also where the semicolon is a delimiter: what is sent to the exact rules in vain is only slower.)"""
_ODD: Final = bytes(
    byte < 0x20 or byte in b"?\x7f" or (byte >= 0xC0 and byte not in _PLAIN_LEADS) for byte in range(256)
)


@dataclass(frozen=True, slots=True)
class Scan:
    """Lines `[starts[i], ends[i])` in order, without empty ones; `lines` counts the lines before each from 0. `fields`
    has the bounds of the fields (lines x columns, inside their quotes) of the lines that `plain` marks: without odd
    bytes, and with quotes around whole fields at most. `total`: lines in all."""

    starts: Ints
    ends: Ints
    lines: Ints
    plain: Flags
    field_starts: Ints
    field_ends: Ints
    total: int


def scan(block: Bytes, delimiter: int, columns: int) -> Scan:
    """Scans `block`, which begins at the start of a line and ends with the end of one."""
    ends = np.flatnonzero(block == _LF)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1)) if ends.size else ends
    kept = np.flatnonzero(ends > starts)
    total = len(ends)
    starts, ends = starts[kept], ends[kept]
    plain = ends - starts <= MAX_RECORD
    text = block.tobytes()
    odd = np.flatnonzero(np.frombuffer(text.translate(_odd_bytes(delimiter)), np.bool_))
    broken = np.array([found.start() for looks in _MAYBE_BROKEN for found in looks.finditer(text)], np.int64)
    for places in (odd, broken):
        if places.size:
            plain[_lines_of(places, ends)] = False
    delimiters = np.flatnonzero(block == delimiter)
    quotes = np.flatnonzero(block == _QUOTE)
    if quotes.size:
        if delimiter == 0x09:
            plain[_lines_of(delimiters[_inside(delimiters, starts, ends, quotes)], ends)] = False
        delimiters = delimiters[~_inside(delimiters, starts, ends, quotes)]
    first = np.searchsorted(delimiters, starts)
    plain &= np.searchsorted(delimiters, ends) - first == columns - 1
    begins, tails = starts[plain], ends[plain]
    cuts = delimiters[first[plain][:, None] + np.arange(columns - 1)]
    field_starts = np.column_stack((begins, cuts + 1))
    field_ends = np.column_stack((cuts, tails))
    if quotes.size and begins.size:
        quoted = (block[np.minimum(field_starts, len(block) - 1)] == _QUOTE) & (field_ends - field_starts > 1)
        quoted &= block[field_ends - 1] == _QUOTE
        simple = np.searchsorted(quotes, tails) - np.searchsorted(quotes, begins) == 2 * quoted.sum(axis=1)
        plain[np.flatnonzero(plain)[~simple]] = False
        field_starts, field_ends = (field_starts + quoted)[simple], (field_ends - quoted)[simple]
    return Scan(starts, ends, kept, plain, field_starts, field_ends, total)


@cache
def _odd_bytes(delimiter: int) -> bytes:
    """A table of what is neither text nor structure."""
    return bytes(odd and byte not in {_LF, delimiter} for byte, odd in enumerate(_ODD))


def _lines_of(places: Ints, ends: Ints) -> Ints:
    """The lines that the places are in; all of them are in one."""
    return np.searchsorted(ends, places)


def _inside(delimiters: Ints, starts: Ints, ends: Ints, quotes: Ints) -> Flags:
    """Whether an odd number of quotes stands before a delimiter in its line."""
    before = np.searchsorted(quotes, delimiters)
    return (before - np.searchsorted(quotes, starts)[_lines_of(delimiters, ends)]) % 2 == 1
