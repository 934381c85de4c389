"""The rules of `rules.py` over many rows at once. They pass only what the exact rules pass, with the same values; a row
that they do not pass may still be right."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

import numpy as np

from services.chassis.currencies import currency_places, places_of
from services.ingestion.domain.debts.conventions import Conventions, DateOrder
from services.ingestion.domain.debts.csv_scan import Bytes, Flags, Ints
from services.ingestion.domain.debts.currencies import whole_digits
from services.ingestion.domain.debts.header import COLUMNS, OPTIONAL, UNNAMED, Layout
from services.ingestion.domain.debts.rules import MAX_GOVERNMENT_ID, MAX_NAME
from services.ingestion.domain.debts.texts import NOTHING
from services.ingestion.domain.debts.varlen_bytes import windows

MAX_ID: Final = 63
EPOCH: Final = date(1970, 1, 1).toordinal()
_MAX_EMAIL: Final = 64
_MAX_AMOUNT: Final = 19
_LONGEST: Final = (MAX_NAME, MAX_GOVERNMENT_ID, _MAX_EMAIL, _MAX_AMOUNT, 10, MAX_ID)
_NAME, _GOVERNMENT_ID, _EMAIL, _AMOUNT, _DUE_DATE, _ID = range(len(COLUMNS))
_CURRENCY, _LANGUAGE = range(len(COLUMNS), len(COLUMNS) + len(OPTIONAL))
_TEXTS: Final = len(COLUMNS) + len(OPTIONAL)
_ZERO: Final = ord("0")
_SPACE: Final = ord(" ")
_TAB: Final = ord("\t")
_QUOTE_SIGN: Final = ord("'")

# Where year, month and day stand in a date of ten characters, and the places of the signs between them.
_DATE_FIELDS: Final = {
    DateOrder.ISO: (((0, 4), (5, 7), (8, 10)), (4, 7)),
    DateOrder.YEAR_FIRST: (((0, 4), (5, 7), (8, 10)), (4, 7)),
    DateOrder.DAY_FIRST: (((6, 10), (3, 5), (0, 2)), (2, 5)),
    DateOrder.MONTH_FIRST: (((6, 10), (0, 2), (3, 5)), (2, 5)),
}

_ID_BYTE: Final = np.array([bytes((byte,)).isalnum() or byte in b"\0_-" for byte in range(256)], np.bool_)
_OF_NOTHING: Final = np.array(sorted({len(word) << 8 | ord(word[0]) for word in NOTHING}), np.int64)
"""How long the words for nothing are, and how they begin."""
_PLAIN, _ATOM, _DASH, _DOT, _AT, _OTHER, _PAD = range(7)


def _email_kind(byte: int) -> int:
    signs = {0: _PAD, ord("-"): _DASH, ord("."): _DOT, ord("@"): _AT}
    if bytes((byte,)).isalnum():
        return _PLAIN
    return signs.get(byte, _ATOM if byte in b"!#$%&'*+/=?^_`{|}~" else _OTHER)


_EMAIL_KIND: Final = np.array([_email_kind(byte) for byte in range(256)], np.uint8)


@dataclass(frozen=True, slots=True)
class PassedRows:
    """Which rows pass, and their values (of no meaning for the others), as in `DebtRows`. Bounds of `texts` beyond the
    end of the block are in `side`, which is to be put there."""

    passed: Flags
    text_starts: Ints
    text_ends: Ints
    minor: Ints
    places: Ints
    days: Ints
    side: bytes


def check_rows(block: Bytes, starts: Ints, ends: Ints, layout: Layout, conventions: Conventions) -> PassedRows:
    """Judges the fields `[starts, ends)` (rows x columns, in the file's order)."""
    passed = np.ones(len(starts), np.bool_)
    for place, column in enumerate(layout.columns):
        if column == UNNAMED:
            passed &= ends[:, place] == starts[:, place]
    chosen = [layout.columns.index(column) for column in COLUMNS]
    texts = _Texts(len(block), starts[:, chosen], ends[:, chosen])
    for column, maximum in enumerate(_LONGEST):
        begin, end = texts.starts[:, column], texts.ends[:, column]
        size = end - begin
        first, last = block[np.minimum(begin, len(block) - 1)], block[np.maximum(end, 1) - 1]
        passed &= (size > 0) & (size <= maximum)
        passed &= (first != _SPACE) & (first != _TAB) & (last != _SPACE) & (last != _TAB)
        if layout.mended:
            passed &= first != _QUOTE_SIGN
    places = _optional(passed, block, starts, ends, layout, conventions, texts)
    # Rows that have failed already are cut to one byte, to keep the matrices narrow.
    texts.ends = np.where(passed[:, None], texts.ends, texts.starts + 1)
    for column in (_NAME, _GOVERNMENT_ID):
        first = block[np.minimum(texts.starts[:, column], len(block) - 1)]
        passed &= (first != ord("#")) & ~np.isin(texts.sizes(column) << 8 | first, _OF_NOTHING)
    _check_government_ids(passed, texts.matrix(block, _GOVERNMENT_ID))
    _check_ids(passed, texts.matrix(block, _ID))
    _check_emails(passed, texts.matrix(block, _EMAIL), texts.sizes(_EMAIL))
    days = _dates(passed, texts.matrix(block, _DUE_DATE), conventions)
    decimal = ord(conventions.decimal)
    minor, canonical = _amounts(passed, texts.matrix(block, _AMOUNT), texts.sizes(_AMOUNT), decimal, places)
    texts.write_amounts(np.flatnonzero(passed & ~canonical), minor, places)
    if conventions.dates is not DateOrder.ISO:
        texts.write_dates(np.flatnonzero(passed), days)
    return PassedRows(passed, texts.starts, texts.ends, minor, places, days, bytes(texts.side))


class _Texts:
    """The bounds of the texts of rows, in the block or in what is put behind it."""

    def __init__(self, size: int, starts: Ints, ends: Ints) -> None:
        """Of the columns that every file has; those of `OPTIONAL` are empty until they are set."""
        none = np.full((len(starts), len(OPTIONAL)), size)
        self.starts, self.ends = np.hstack((starts, none)), np.hstack((ends, none))
        self.side = bytearray()
        self._size = size

    def sizes(self, column: int) -> Ints:
        return self.ends[:, column] - self.starts[:, column]

    def matrix(self, block: Bytes, column: int) -> Bytes:
        return left_aligned(block, self.starts[:, column], self.ends[:, column])

    def write_all(self, column: int, text: bytes) -> None:
        """One text for every row."""
        self.starts[:, column] = self._size + len(self.side)
        self.ends[:, column] = self.starts[:, column] + len(text)
        self.side += text

    def write_amounts(self, rows: Ints, minor: Ints, places: Ints) -> None:
        """The amounts of the rows as they are stored."""
        for count in np.unique(places[rows]).tolist():
            chosen = rows[places[rows] == count]
            matrix, sizes = _written_amounts(minor[chosen], count)
            self._write(chosen, _AMOUNT, matrix, matrix.shape[1] - sizes)

    def write_dates(self, rows: Ints, days: Ints) -> None:
        """The dates of the rows as they are stored."""
        written = np.datetime_as_string(days[rows].astype("datetime64[D]")).astype("S10")
        self._write(rows, _DUE_DATE, written.view(np.uint8).reshape(len(rows), 10), np.zeros(len(rows), np.int64))

    def _write(self, rows: Ints, column: int, matrix: Bytes, begins: Ints) -> None:
        width = matrix.shape[1]
        at = self._size + len(self.side) + np.arange(len(rows)) * width
        self.starts[rows, column] = at + begins
        self.ends[rows, column] = at + width
        self.side += matrix.tobytes()


def _written_amounts(minor: Ints, places: int) -> tuple[Bytes, Ints]:
    """Amounts, right-aligned, and how long each is."""
    digits = np.empty((len(minor), 19), np.uint8)
    left = minor.copy()
    for place in range(18, -1, -1):
        left, digits[:, place] = np.divmod(left, 10)
    sizes = np.maximum(19 - np.argmax(digits != 0, axis=1), places + 1)
    digits += _ZERO
    if not places:
        return digits, sizes
    points = np.full((len(minor), 1), ord("."), np.uint8)
    return np.hstack((digits[:, :-places], points, digits[:, -places:])), sizes + 1


@cache
def _currency_table() -> tuple[Ints, Ints]:
    """The codes of the currencies as numbers, sorted, and the places of each."""
    table = sorted(currency_places().items())
    codes = [int.from_bytes(code.encode()) for code, _ in table]
    return np.array(codes, np.int64), np.array([places for _, places in table], np.int64)


def _optional(
    passed: Flags, block: Bytes, starts: Ints, ends: Ints, layout: Layout, conventions: Conventions, texts: _Texts
) -> Ints:
    """Sets the texts of `OPTIONAL`; returns the places of the amounts."""
    places = np.full(len(starts), places_of(conventions.currency))
    currency, language = (layout.place(column) for column in OPTIONAL)
    if currency is None:
        texts.write_all(_CURRENCY, conventions.currency.encode())
    else:
        begin, end = starts[:, currency], ends[:, currency]
        texts.starts[:, _CURRENCY], texts.ends[:, _CURRENCY] = begin, end
        passed &= end - begin == 3
        letters = left_aligned(block, begin, np.where(passed, end, begin + 1)).astype(np.int64)
        code = (letters[:, 0] << 16) | (letters[:, 1] << 8) | letters[:, 2] if letters.shape[1] > 2 else letters[:, 0]
        codes, known = _currency_table()
        at = np.minimum(np.searchsorted(codes, code), len(codes) - 1)
        passed &= codes[at] == code
        places = known[at]
    if language is None:
        texts.write_all(_LANGUAGE, conventions.language.encode())
    else:
        begin, end = starts[:, language], ends[:, language]
        texts.starts[:, _LANGUAGE], texts.ends[:, _LANGUAGE] = begin, end
        size = end - begin
        passed &= (size == 2) | ((size == 0) & (not conventions.language))
        letters = left_aligned(block, begin, np.where(passed, end, begin + 1))[:, :2]
        passed &= (size == 0) | ((letters >= ord("a")) & (letters <= ord("z"))).all(axis=1)
    return places


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


def _check_government_ids(passed: Flags, matrix: Bytes) -> None:
    """Leaves what a spreadsheet may have mangled, or shows as an error, to the exact rules."""
    odd = (matrix - _ZERO > 9) & (matrix != 0)
    if not odd.any():
        return
    signs = ((matrix == ord("+")) | (matrix == ord("-"))).any(axis=1)
    exponent = ((matrix | 0x20) == ord("e")).any(axis=1)
    points = ((matrix == ord(".")) | (matrix == ord(","))).sum(axis=1)
    passed &= ~(signs & exponent) & (points != 1) & (matrix[:, 0] != ord("#"))


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


def _dates(passed: Flags, matrix: Bytes, conventions: Conventions) -> Ints:
    """Days since 1970-01-01."""
    columns = np.zeros((10, len(matrix)), np.int64)
    width = min(10, matrix.shape[1])
    columns[:width] = matrix.T[:width]
    fields, (one, two) = _DATE_FIELDS[conventions.dates]
    passed &= columns[one] == columns[two]
    if conventions.dates is DateOrder.ISO:
        passed &= columns[one] == ord("-")
    else:
        passed &= (columns[one] == ord("/")) | (columns[one] == ord(".")) | (columns[one] == ord("-"))
    numbers: list[Ints] = []
    for first, end in fields:
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
    days = first_day.astype(np.int64) + day - 1
    earliest, latest = (when.toordinal() - EPOCH for when in (conventions.due_from, conventions.due_to))
    passed &= (days >= earliest) & (days <= latest)
    return days


def _amounts(passed: Flags, matrix: Bytes, sizes: Ints, decimal: int, allowed: Ints) -> tuple[Ints, Flags]:
    """Amounts in units of their last place, of which `allowed` says how many there are, and whether they are written
    as they are stored."""
    value, dots = np.zeros(len(matrix), np.int64), np.zeros(len(matrix), np.int64)
    dot_at = sizes.copy()
    for place in range(min(matrix.shape[1], _MAX_AMOUNT)):
        digit = matrix[:, place].astype(np.int64) - _ZERO
        numeric, dot = (digit >= 0) & (digit <= 9), digit == decimal - _ZERO
        passed &= numeric | (dot & (place > 0)) | (place >= sizes)
        value = np.where(numeric, value * 10 + digit, value)
        dots += dot
        dot_at[dot] = place
    places = np.where(dots > 0, sizes - 1 - dot_at, 0)
    whole = np.array([whole_digits(count) for count in range(5)])[allowed]
    passed &= (dots <= 1) & (dot_at <= whole) & (places <= allowed) & ((places > 0) | (dots == 0)) & (value > 0)
    missing = np.clip(allowed - places, 0, 4)
    minor = np.where(passed, value, 1) * np.array((1, 10, 100, 1000, 10_000))[missing]
    return minor, (missing == 0) & (decimal == ord(".")) & ((matrix[:, 0] != _ZERO) | (dot_at == 1))
