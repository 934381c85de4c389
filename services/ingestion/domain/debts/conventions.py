"""How the values of a file are written, and what they mean where it does not say. Declared by the upload, never guessed
from the data."""

from dataclasses import dataclass
from datetime import date
from enum import Enum


class DateOrder(Enum):
    """How dates are written, beside the form of ISO 8601 that is always understood."""

    ISO = "year-month-day"
    DAY_FIRST = "day/month/year"
    MONTH_FIRST = "month/day/year"
    YEAR_FIRST = "year/month/day"


@dataclass(frozen=True, slots=True)
class Signs:
    """How a locale writes: the decimal sign, the signs that may group digits (empty: none), the order of a date, and
    how large groups before the last three digits are (2 in India: 12,34,567)."""

    decimal: str
    grouping: str
    dates: DateOrder
    group_size: int = 3


@dataclass(frozen=True, slots=True)
class Conventions:
    """`decimal` and `grouping`: the signs in amounts (grouping empty: none). `currency`, `language`: of rows that name
    none. `issuer`: whom the debts are owed to. `due_from`, `due_to`: the due dates that are taken."""

    decimal: str = "."
    grouping: str = ""
    group_size: int = 3
    dates: DateOrder = DateOrder.ISO
    currency: str = ""
    language: str = ""
    issuer: str = ""
    due_from: date = date.min
    due_to: date = date.max
