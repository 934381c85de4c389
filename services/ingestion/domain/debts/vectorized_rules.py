"""The rules of `rules.py` over many rows at once. They pass only what the exact rules pass, with the same values; a row
that they do not pass may still be right."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.ingestion.domain.debts.csv_scan import Bytes, Flags, Ints
from services.ingestion.domain.debts.header import COLUMNS, Layout
from services.ingestion.domain.debts.rules import MAX_GOVERNMENT_ID, MAX_NAME
from services.ingestion.domain.debts.varlen_bytes import windows

MAX_ID: Final = 63
_MAX_EMAIL: Final = 64
_MAX_AMOUNT: Final = 19
_NAME, _GOVERNMENT_ID, _EMAIL, _AMOUNT, _DUE_DATE, _ID = range(len(COLUMNS))
_ZERO: Final = ord("0")
_SPACE: Final = ord(" ")
_TAB: Final = ord("\t")

_ID_BYTE: Final = np.array([bytes((byte,)).isalnum() or byte in b"\0_-" for byte in range(256)], np.bool_)
_PLAIN, _ATOM, _DASH, _DOT, _AT, _OTHER, _PAD = range(7)


def _email_kind(byte: int) -> int:
    signs = {0: _PAD, ord("-"): _DASH, ord("."): _DOT, ord("@"): _AT}
    if bytes((byte,)).isalnum():
        return _PLAIN
    return signs.get(byte, _ATOM if byte in b"!#$%&'*+/=?^_`{|}~" else _OTHER)


_EMAIL_KIND: Final = np.array([_email_kind(byte) for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class PassedRows:
    """Which rows pass, and their values (of no meaning for the others). `texts` are the bounds of the fields in the
    order of `COLUMNS` (rows x columns); `canonical` marks amounts written with two places and no needless zero."""

    passed: Flags
    text_starts: Ints
    text_ends: Ints
    cents: Ints
    days: Ints
    canonical: Flags


def check_rows(block: Bytes, starts: Ints, ends: Ints, layout: Layout) -> PassedRows:
    """Judges the fields `[starts, ends)` (rows x columns, in the file's order)."""
    places = list(layout.places)
    starts, ends = starts[:, places], ends[:, places]
    passed = np.ones(len(starts), np.bool_)
    for column, maximum in enumerate((MAX_NAME, MAX_GOVERNMENT_ID, _MAX_EMAIL, _MAX_AMOUNT, 10, MAX_ID)):
        begin, end = starts[:, column], ends[:, column]
        size = end - begin
        first, last = block[np.minimum(begin, len(block) - 1)], block[np.maximum(end, 1) - 1]
        passed &= (size > 0) & (size <= maximum)
        passed &= (first != _SPACE) & (first != _TAB) & (last != _SPACE) & (last != _TAB)
    # Rows that have failed already are cut to one byte, to keep the matrices narrow.
    ends = np.where(passed[:, None], ends, starts + 1)
    _check_ids(passed, left_aligned(block, starts[:, _ID], ends[:, _ID]))
    _check_emails(passed, left_aligned(block, starts[:, _EMAIL], ends[:, _EMAIL]), ends[:, _EMAIL] - starts[:, _EMAIL])
    days = _dates(passed, left_aligned(block, starts[:, _DUE_DATE], ends[:, _DUE_DATE]))
    amounts = left_aligned(block, starts[:, _AMOUNT], ends[:, _AMOUNT])
    cents, canonical = _amounts(passed, amounts, ends[:, _AMOUNT] - starts[:, _AMOUNT])
    return PassedRows(passed, starts, ends, cents, days, canonical)


def left_aligned(block: Bytes, starts: Ints, ends: Ints) -> Bytes:
    """The texts as rows of a matrix, filled up with at least one zero on the right."""
    lengths = ends - starts
    width = int(lengths.max(initial=0)) + 1
    if int(starts.max(initial=0)) + width > len(block):
        block = np.concatenate((block, np.zeros(width, np.uint8)))
    matrix = windows(block, width)[starts].view(np.uint8).reshape(len(starts), width)
    matrix[np.arange(width) >= lengths[:, None]] = 0
    return matrix


def _check_ids(passed: Flags, matrix: Bytes) -> None:
    passed &= matrix[:, 0] != ord("-")
    passed[np.flatnonzero(~_ID_BYTE[matrix]) // matrix.shape[1]] = False


def _check_emails(passed: Flags, matrix: Bytes, sizes: Ints) -> None:
    """Passes plain addresses: dots and dashes only between letters or digits, the last byte a letter."""
    width = matrix.shape[1]
    kinds = _EMAIL_KIND[matrix].ravel()
    special = np.flatnonzero((kinds != _PLAIN) & (kinds != _PAD))
    kind, following = kinds[special], kinds[special + 1]
    row, column = special // width, special % width
    joint, next_joint = (kind >= _DASH) & (kind <= _AT), (following >= _DASH) & (following <= _AT)
    at = np.full(len(matrix), width)
    ats = kind == _AT
    at[row[ats]] = column[ats]
    beyond = column > at[row]
    wrong = joint & (next_joint | (following == _PAD) | (column == 0))
    wrong |= (kind == _OTHER) | ((kind == _ATOM) & beyond) | ((kind == _DOT) & (column == sizes[row] - 2))
    dotted = np.zeros(len(matrix), np.bool_)
    dotted[row[(kind == _DOT) & beyond]] = True
    last = matrix[np.arange(len(matrix)), sizes - 1] | 0x20
    passed &= dotted & (last >= ord("a")) & (last <= ord("z")) & (np.bincount(row[ats], minlength=len(matrix)) == 1)
    passed[row[wrong]] = False


def _dates(passed: Flags, matrix: Bytes) -> Ints:
    """Days since 1970-01-01."""
    columns = np.zeros((10, len(matrix)), np.int64)
    width = min(10, matrix.shape[1])
    columns[:width] = matrix.T[:width]
    passed &= (columns[4] == ord("-")) & (columns[7] == ord("-"))
    numbers: list[Ints] = []
    for first, end in ((0, 4), (5, 7), (8, 10)):
        number = np.zeros(len(matrix), np.int64)
        for place in range(first, end):
            digit = columns[place] - _ZERO
            passed &= (digit >= 0) & (digit <= 9)
            number = number * 10 + digit
        numbers.append(number)
    year, month, day = (np.where(passed, number, 1) for number in numbers)
    passed &= (year >= 1) & (month >= 1) & (month <= 12)
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first_day, following = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
    passed &= (day >= 1) & (day <= (following - first_day).astype(np.int64))
    return first_day.astype(np.int64) + day - 1


def _amounts(passed: Flags, matrix: Bytes, sizes: Ints) -> tuple[Ints, Flags]:
    """Amounts in hundredths, and whether they are written canonically."""
    value, dots = np.zeros(len(matrix), np.int64), np.zeros(len(matrix), np.int64)
    dot_at = sizes.copy()
    for place in range(min(matrix.shape[1], _MAX_AMOUNT)):
        digit = matrix[:, place].astype(np.int64) - _ZERO
        numeric, dot = (digit >= 0) & (digit <= 9), digit == ord(".") - _ZERO
        passed &= numeric | (dot & (place > 0)) | (place >= sizes)
        value = np.where(numeric, value * 10 + digit, value)
        dots += dot
        dot_at[dot] = place
    places = np.where(dots > 0, sizes - 1 - dot_at, 0)
    passed &= (dots <= 1) & (dot_at <= 16) & (places <= 2) & ((places > 0) | (dots == 0)) & (value > 0)
    cents = value * np.array((100, 10, 1))[np.clip(places, 0, 2)]
    return cents, (places == 2) & ((matrix[:, 0] != _ZERO) | (dot_at == 1))
