"""Who invoices are from, as it stands on them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.notification.domain.payment_codes import load_code

_MOST_LINES, _LONGEST = 8, 100
_FIELDS = ("name", "address", "contact", "tax_id", "bank", "logo", "payment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """`address`, `contact` and `bank` are lines of text; `logo` is the file of a picture (PNG or JPEG), or empty."""

    name: str
    address: tuple[str, ...] = ()
    contact: tuple[str, ...] = ()
    tax_id: str = ""
    bank: tuple[str, ...] = ()
    logo: str = ""
    payment: tuple[Mapping[str, str], ...] = ()
    """The codes by which people pay, as `payment_codes.load_code` takes them."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is printed."""
        return (self.name, *self.address, *self.contact, self.tax_id, *self.bank)


def load_issuer(path: Path) -> Issuer:
    """What a file in TOML says: name, address, contact, tax_id, bank, logo (beside the file), payment. Raises
    ValueError for what is missing, too much, or unknown, and OSError."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    if unknown := sorted(given.keys() - set(_FIELDS)):
        raise ValueError(f"{path} has {', '.join(unknown)}; it may have {', '.join(_FIELDS)}")
    if not str(given.get("name", "")).strip():
        raise ValueError(f"{path} has no name")
    logo = _text(given, "logo")
    if logo:
        picture = path.parent / logo
        if not picture.is_file():
            raise ValueError(f"{path}: there is no {picture}")
        logo = str(picture.resolve())
    payment = given.get("payment", [])
    if not isinstance(payment, list) or not all(isinstance(one, dict) for one in payment):
        raise ValueError("payment is a list of tables: [[payment]]")
    if len({type(load_code(one)) for one in payment}) < len(payment):
        raise ValueError("payment has one table for each code at most")
    return Issuer(
        name=_text(given, "name"),
        address=_lines(given, "address"),
        contact=_lines(given, "contact"),
        tax_id=_text(given, "tax_id"),
        bank=_lines(given, "bank"),
        logo=logo,
        payment=tuple(payment),
    )


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field, "")
    if not isinstance(value, str) or len(value) > _LONGEST * _MOST_LINES or "\n" in value:
        raise ValueError(f"{field} is a line of text")
    return value.strip()


def _lines(given: dict[str, Any], field: str) -> tuple[str, ...]:
    value = given.get(field, [])
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or len(lines) > _MOST_LINES:
        raise ValueError(f"{field} is a list of at most {_MOST_LINES} lines")
    if any(not isinstance(one, str) or len(one) > _LONGEST or "\n" in one for one in lines):
        raise ValueError(f"{field} has lines of text of at most {_LONGEST} characters")
    return tuple(lines)
