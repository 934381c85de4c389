"""The Brazilian boleto: FEBRABAN's bar code of 44 digits, and the line of 47 that people type."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

_EPOCH = date(1997, 10, 7)
_AGO, _AHEAD = 3000, 5500
"""Days around the present in which banks take a due factor, which begins anew every 9,000 (FEBRABAN 082/2012)."""
_FREE = re.compile(r"(\d|\{number:(\d{1,2})\})+", re.ASCII)
_HOLE = re.compile(r"\{number:(\d{1,2})\}", re.ASCII)
_FREE_LENGTH = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Boleto:
    """`bank` is the code of three digits; `free_field` the 25 digits that each bank lays down for itself (agency,
    account, wallet), with `{number:11}` where the number of the title stands: the debt's id, which is of digits."""

    currency: ClassVar[str] = "BRL"
    bank: str
    free_field: str

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not re.fullmatch(r"\d{3}", self.bank, re.ASCII):
            raise ValueError("bank is its code of three digits")
        holes = _HOLE.findall(self.free_field)
        length = len(_HOLE.sub("", self.free_field)) + sum(map(int, holes))
        if not _FREE.fullmatch(self.free_field) or length != _FREE_LENGTH or len(holes) != 1:
            raise ValueError("free_field is 25 digits, with {number:11} or the like once in place of some of them")

    def digits(self, reference: str, amount: Decimal, due: date, today: date | None = None) -> str:
        """The bar code. Raises ValueError for what it cannot say; `today` tells which due dates these are."""
        if today is not None and not -_AGO <= (due - today).days <= _AHEAD:
            raise ValueError(f"a boleto is due at most {_AGO} days ago, or {_AHEAD} ahead: banks read another date")
        [places] = map(int, _HOLE.findall(self.free_field))
        if not re.fullmatch(r"\d+", reference, re.ASCII) or len(reference) > places:
            raise ValueError(f"a boleto of this bank is for references of up to {places} digits")
        cents = amount * 100
        if cents != int(cents) or not 0 < cents < 10**10:
            raise ValueError("a boleto is for 0.01 to 99999999.99")
        free = _HOLE.sub(reference.zfill(places), self.free_field)
        return bar_code(self.bank, due, int(cents), free)


def bar_code(bank: str, due: date, cents: int, free: str) -> str:
    """The 44 digits: bank, currency (9: real), check digit, due factor, amount, and the bank's own 25."""
    rest = f"{due_factor(due):04d}{cents:010d}{free}"
    return f"{bank}9{modulo_11(f'{bank}9{rest}')}{rest}"


def typed_line(digits: str) -> str:
    """The line that stands for the bar code, grouped for the eye; its parts have check digits of their own."""
    free = digits[19:]
    parts = [digits[:4] + free[:5], free[5:15], free[15:]]
    first, second, third = (f"{part}{modulo_10(part)}" for part in parts)
    groups = (f"{first[:5]}.{first[5:]}", f"{second[:5]}.{second[5:]}", f"{third[:5]}.{third[5:]}")
    return f"{' '.join(groups)} {digits[4]} {digits[5:19]}"


def due_factor(due: date) -> int:
    """Days since 1997-10-07; after 9999 (2025-02-21) it goes on with 1000, as FEBRABAN has decided."""
    days = (due - _EPOCH).days
    if days < 1000:
        raise ValueError("a boleto is due from 2000-07-03 on")
    return (days - 1000) % 9000 + 1000


def modulo_10(digits: str) -> int:
    """The check digit of a part of the line: weights 2, 1, 2 ... from the right, sums of digits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        weighted = int(digit) * (2 - place % 2)
        total += weighted - 9 if weighted > 9 else weighted
    return -total % 10


def modulo_11(digits: str) -> int:
    """The check digit of the bar code: weights 2 to 9 from the right; what would be 0, 10 or 11 is 1."""
    total = sum(int(digit) * (2 + place % 8) for place, digit in enumerate(reversed(digits)))
    check = 11 - total % 11
    return check if check < 10 else 1
