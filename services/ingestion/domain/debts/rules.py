"""The rules of a row, one row at a time: exact, and the authority. `vectorized_rules.py` passes what is plainly
right."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.chassis.ids import is_id
from services.ingestion.domain.debts.header import COLUMNS, Layout

MAX_NAME: Final = 200
MAX_GOVERNMENT_ID: Final = 64
MAX_EMAIL: Final = 254
MAX_RAW: Final = 4096

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_AMOUNT: Final = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,2}))?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL: Final = re.compile(rf"(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?![0-9]+$)(?=..){_LABEL}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row that keeps all rules. `cents` is the amount in hundredths."""

    name: str
    government_id: str
    email: str
    cents: int
    due_date: date
    debt_id: str


@dataclass(frozen=True, slots=True)
class Broken:
    """Why a row is rejected: the first rule broken, in the order of `COLUMNS`."""

    reason: str
    column: str
    message: str


def check(fields: Sequence[bytes], layout: Layout) -> Row | Broken:
    """Judges the fields of a row, in the file's order; they are UTF-8. Spaces and tabs around a field do not count."""
    if len(fields) != len(COLUMNS):
        message = f"the row has {len(fields)} fields, the header has {len(COLUMNS)}"
        return Broken("ROW_MALFORMED", "", message)
    texts = [fields[place].decode().strip(" \t") for place in layout.places]
    for column, text in zip(COLUMNS, texts, strict=True):
        if not text:
            return Broken("FIELD_MISSING", column, "is required")
        if (broken := _CHECKS[column](text)) is not None:
            return Broken(broken[0], column, broken[1])
    name, government_id, email, amount, due_date, debt_id = texts
    return Row(name, government_id, email, _cents(amount), date.fromisoformat(due_date), debt_id)


def _text(limit: int, text: str) -> tuple[str, str] | None:
    if len(text) > limit:
        return "ROW_MALFORMED", f"is longer than {limit} characters"
    if _CONTROL.search(text):
        return "ROW_MALFORMED", "holds a line break or another control character"
    return None


def _name(text: str) -> tuple[str, str] | None:
    return _text(MAX_NAME, text)


def _government_id(text: str) -> tuple[str, str] | None:
    return _text(MAX_GOVERNMENT_ID, text)


def _email(text: str) -> tuple[str, str] | None:
    if len(text) <= MAX_EMAIL and _EMAIL.fullmatch(text):
        return None
    return "EMAIL_INVALID", "must be an e-mail address like name@example.com"


def _cents(text: str) -> int:
    whole, _, places = text.partition(".")
    return int(whole) * 100 + int(places.ljust(2, "0"))


def _amount(text: str) -> tuple[str, str] | None:
    if _AMOUNT.fullmatch(text) and _cents(text) > 0:
        return None
    return "DEBT_AMOUNT_INVALID", "must be a decimal above 0 like 1234.50, with at most 16 digits and 2 places"


def _due_date(text: str) -> tuple[str, str] | None:
    if _DATE.fullmatch(text):
        try:
            date.fromisoformat(text)
        except ValueError:
            return "DUE_DATE_INVALID", "is no day of the calendar"
        return None
    return "DUE_DATE_INVALID", "must be a date like 2026-12-31"


def _debt_id(text: str) -> tuple[str, str] | None:
    if is_id(text):
        return None
    return "DEBT_ID_INVALID", "must be 1 to 63 letters, digits, '_' or '-', and not start with '-'"


_CHECKS: Final = dict(zip(COLUMNS, (_name, _government_id, _email, _amount, _due_date, _debt_id), strict=True))


def shown(raw: bytes) -> str:
    """The text of a rejected row as it is kept: without its line terminator, at most 4,096 characters, no NUL."""
    text = raw[: 4 * MAX_RAW].rstrip(b"\r\n").decode("utf-8", "ignore")
    return text[:MAX_RAW].replace("\0", "\N{REPLACEMENT CHARACTER}")
