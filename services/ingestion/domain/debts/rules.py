"""The rules of a row, one row at a time: exact, and the authority. `vectorized_rules.py` passes what is plainly
right."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final

from services.chassis.currencies import currency_places, places_of
from services.chassis.ids import is_id
from services.ingestion.domain.debts import spreadsheet, texts
from services.ingestion.domain.debts.conventions import Conventions, DateOrder
from services.ingestion.domain.debts.currencies import whole_digits
from services.ingestion.domain.debts.debt_file import Broken
from services.ingestion.domain.debts.header import COLUMNS, OPTIONAL, UNNAMED, Layout

MAX_NAME: Final = 200
MAX_GOVERNMENT_ID: Final = 64
MAX_EMAIL: Final = 254
MAX_RAW: Final = 64 * 1024

_MANGLED: Final = re.compile(r"[+-]?(?:[0-9][eE][+-]|[0-9]{1,3}[.,][0-9]+[eE][+-]?)[0-9]{1,3}|[0-9]+[.,]0+")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
# With a blank behind each point, and one at the end, as in Czech and Hungarian, Serbian and Korean.
_BETWEEN: Final = r"(?P<between>[/-]|\. ?)"
_DAY_MONTH: Final = rf"(?P<d>[0-9]{{1,2}}){_BETWEEN}(?P<m>[0-9]{{1,2}})(?P=between)"
_MONTH_DAY: Final = rf"{_BETWEEN}(?P<m>[0-9]{{1,2}})(?P=between)(?P<d>[0-9]{{1,2}})"
_LOCAL_DATES: Final = {
    DateOrder.DAY_FIRST: re.compile(rf"{_DAY_MONTH}(?P<y>[0-9]{{4}})\.?"),
    DateOrder.MONTH_FIRST: re.compile(r"(?P<m>[0-9]{1,2})([/.-])(?P<d>[0-9]{1,2})\2(?P<y>[0-9]{4})"),
    DateOrder.YEAR_FIRST: re.compile(rf"(?P<y>[0-9]{{4}}){_MONTH_DAY}\.?"),
}
_DATES_LIKE: Final = {
    DateOrder.ISO: "2026-12-31",
    DateOrder.DAY_FIRST: "31/12/2026 or 31.12.2026",
    DateOrder.MONTH_FIRST: "12/31/2026",
    DateOrder.YEAR_FIRST: "2026/12/31",
}
_OF_NUMBERS: Final = "0123456789.,-+ '\N{RIGHT SINGLE QUOTATION MARK}"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL: Final = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+$)(?=..){_LABEL}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that keeps all rules. `texts` are its values in the order of `COLUMNS` and `OPTIONAL`, written as they are
    stored; `minor` is the amount in units of its last place, of which it has `places`."""

    texts: tuple[str, ...]
    minor: int
    places: int
    due_date: date


class RowRules:
    """The rules of one file."""

    def __init__(self, layout: Layout, conventions: Conventions) -> None:
        self._conventions, self._mended = conventions, layout.mended
        self._width = len(layout.columns)
        self._needed = max(place for place, column in enumerate(layout.columns, 1) if column != UNNAMED)
        self._places = [layout.columns.index(column) for column in COLUMNS]
        self._currency_at, self._language_at = (layout.place(column) for column in OPTIONAL)
        self._unnamed = [place for place, column in enumerate(layout.columns) if column == UNNAMED]
        decimal = re.escape(conventions.decimal)
        group = f"[{re.escape(conventions.grouping)}]" if conventions.grouping else None
        written = ["[0-9]+"]
        if group:
            # What is grouped by three is understood where groups are of two, too: it is no other amount.
            sizes = sorted({3, conventions.group_size})
            written += [f"[0-9]{{1,{size}}}(?:{group}[0-9]{{{size}}})*{group}[0-9]{{3}}" for size in sizes]
        self._amount = re.compile(rf"({'|'.join(written)})(?:{decimal}([0-9]+))?")
        self._group = re.compile(group) if group else None

    def judge(self, fields: Sequence[str]) -> Row | tuple[Broken, ...]:
        """A row's fields in the file's order. White space around a field does not count. An empty tuple
        means that there is no row: all fields are empty."""
        if self._mended:
            fields = [spreadsheet.unguarded(text) for text in fields]
        values = [texts.normal(text) for text in fields]
        if not any(values):
            return ()
        if len(values) < self._needed or any(values[self._width :]):
            message = f"the row has {len(values)} fields, the header has {self._needed}"
            return (Broken("ROW_MALFORMED", "", message),)
        values += [""] * (self._width - len(values))
        if any(values[place] for place in self._unnamed):
            return (Broken("ROW_MALFORMED", "", "the row has a field in a column without a name"),)
        return self._values(values)

    def _values(self, values: list[str]) -> Row | tuple[Broken, ...]:
        name, government_id, email, amount, due_date, debt_id = [values[place] for place in self._places]
        broken: list[Broken] = []
        for column, text, check in (
            (COLUMNS[0], name, _name),
            (COLUMNS[1], government_id, _government_id),
            (COLUMNS[2], email, _email),
            (COLUMNS[5], debt_id, _debt_id),
        ):
            if not text:
                broken.append(Broken("FIELD_MISSING", column, "is required"))
            elif (found := check(text)) is not None:
                broken.append(found)
        currency, places = self._currency(values, broken)
        language = self._language(values, broken)
        minor = self._minor(amount, places, broken)
        due = self._due_date(due_date, broken)
        if broken or due is None:
            broken.sort(key=_by_column)
            return tuple(broken)
        written = _written(minor, places)
        row = (name, government_id, email, written, due.isoformat(), debt_id, currency, language)
        return Row(row, minor, places, due)

    def _currency(self, values: list[str], broken: list[Broken]) -> tuple[str, int]:
        currency = values[self._currency_at].upper() if self._currency_at is not None else ""
        currency = currency or self._conventions.currency
        if currency and currency not in currency_places():
            broken.append(Broken("CURRENCY_UNKNOWN", OPTIONAL[0], "must be a currency of ISO 4217 like EUR or BRL"))
            return "", places_of("")
        return currency, places_of(currency)

    def _language(self, values: list[str], broken: list[Broken]) -> str:
        language = values[self._language_at] if self._language_at is not None else ""
        if language and not _LANGUAGE.fullmatch(language):
            broken.append(Broken("LANGUAGE_INVALID", OPTIONAL[1], "must be a language like en, fr or pt-BR"))
            return ""
        return language_written(language) if language else self._conventions.language

    def _minor(self, text: str, places: int, broken: list[Broken]) -> int:
        if not text:
            broken.append(Broken("FIELD_MISSING", COLUMNS[3], "is required"))
            return 0
        match = self._amount.fullmatch(text)
        if match is not None:
            whole, fraction = match[1], match[2] or ""
            if self._group is not None:
                whole = self._group.sub("", whole)
            if len(whole) <= whole_digits(places) and len(fraction) <= places:
                minor = int(whole + fraction.ljust(places, "0"))
                if minor > 0:
                    return minor
        broken.append(_amount_invalid(places, self._conventions.decimal, _names_currency(text)))
        return 0

    def _due_date(self, text: str, broken: list[Broken]) -> date | None:
        conventions = self._conventions
        if not text:
            broken.append(Broken("FIELD_MISSING", COLUMNS[4], "is required"))
            return None
        parts: tuple[str, str, str] | None = None
        if match := _DATE.fullmatch(text):
            parts = match[1], match[2], match[3]
        elif conventions.dates in _LOCAL_DATES and (match := _LOCAL_DATES[conventions.dates].fullmatch(text)):
            parts = match["y"], match["m"], match["d"]
        if parts is None:
            broken.append(
                Broken("DUE_DATE_INVALID", COLUMNS[4], f"must be a date like {_DATES_LIKE[conventions.dates]}")
            )
            return None
        try:
            due = date(*map(int, parts))
        except ValueError:
            broken.append(Broken("DUE_DATE_INVALID", COLUMNS[4], "is no day of the calendar"))
            return None
        if not conventions.due_from <= due <= conventions.due_to:
            rule = f"must be from {conventions.due_from} to {conventions.due_to}"
            broken.append(Broken("DUE_DATE_INVALID", COLUMNS[4], rule))
            return None
        return due


def _names_currency(amount: str) -> bool:
    """Whether it has a sign or a code of a currency at one end (`R$ 10`, `10 EUR`), as formats of spreadsheets do."""
    beside = amount.strip(_OF_NUMBERS)
    return beside in currency_places() or any(unicodedata.category(sign) == "Sc" for sign in beside)


@cache
def _amount_invalid(places: int, decimal: str, names_currency: bool) -> Broken:
    like = f"1234{decimal}5".ljust(5 + places, "0") if places else "1234"
    allowed = f"{places} places" if places else "no places"
    rule = f"must be a decimal above 0 like {like}, with at most {whole_digits(places)} digits and {allowed}"
    if names_currency:
        rule += "; the currency stands in a column of its own, in the profile or the upload"
    return Broken("DEBT_AMOUNT_INVALID", COLUMNS[3], rule)


def _name(text: str) -> Broken | None:
    rule = texts.broken_rule(text, MAX_NAME)
    return Broken("TEXT_INVALID", COLUMNS[0], rule) if rule else None


def _government_id(text: str) -> Broken | None:
    if rule := texts.broken_rule(text, MAX_GOVERNMENT_ID):
        return Broken("TEXT_INVALID", COLUMNS[1], rule)
    return _MANGLED_ID if _MANGLED.fullmatch(text) else None


def _email(text: str) -> Broken | None:
    return None if len(text) <= MAX_EMAIL and _EMAIL.fullmatch(text) else _EMAIL_INVALID


def language_written(language: str) -> str:
    """A language as BCP 47 recommends: it in small letters, the country in capitals."""
    first, *others = language.replace("_", "-").split("-")
    return "-".join((first.lower(), *(part.upper() if len(part) == 2 else part for part in others)))


def _debt_id(text: str) -> Broken | None:
    return None if is_id(text) else _DEBT_ID


def _written(minor: int, places: int) -> str:
    if not places:
        return str(minor)
    whole, fraction = divmod(minor, 10**places)
    return f"{whole}.{fraction:0{places}}"


def _by_column(broken: Broken) -> int:
    return _ORDER[broken.column]


_ORDER: Final = {column: place for place, column in enumerate((*COLUMNS, *OPTIONAL))}
_EMAIL_INVALID: Final = Broken("EMAIL_INVALID", COLUMNS[2], "must be an e-mail address like name@example.com")
_MANGLED_ID: Final = Broken(
    "GOVERNMENT_ID_INVALID", COLUMNS[1], "is a number as a spreadsheet shows it: give the column the format text"
)
_DEBT_ID: Final = Broken(
    "DEBT_ID_INVALID", COLUMNS[5], "must be 1 to 63 letters, digits, '_' or '-', and not start with '-'"
)


def shown(text: str) -> str:
    """The text of a rejected row as it is kept: no NUL. One that is too long ends with a sign that no column may hold,
    so that what was cut off is not taken for a value when it is sent again."""
    kept = text if len(text) <= MAX_RAW else text[:MAX_RAW] + "\N{REPLACEMENT CHARACTER}"
    return kept.replace("\0", "\N{REPLACEMENT CHARACTER}")
