"""Who invoices are from, as it stands on them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.notification.domain.payment_codes import load_code

_MOST_LINES, _LONGEST = 8, 100
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIELDS: Final = (
    "name", "address", "contact", "tax_id", "bank", "logo", "payment", "language", "sender", "sender_name"
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", re.ASCII)
LANGUAGES: Final = ("de", "en", "fr", "pt")
LANGUAGE: Final = re.compile(rf"({'|'.join(LANGUAGES)})(-[A-Z]{{2}})?", re.ASCII)
LANGUAGE_RULE: Final = f"must be {', '.join(LANGUAGES[:-1])} or {LANGUAGES[-1]}, or one with a country like pt-BR"
ADDRESS: Final = re.compile(r"[^\s@<>]+@[^\s@<>]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """`address`, `contact` and `bank` are lines of text; `logo` is the file of a picture (PNG or JPEG), or empty.
    `language`, and the address and name that e-mails are from, are empty where those of the deployment are good."""

    name: str
    address: tuple[str, ...] = ()
    contact: tuple[str, ...] = ()
    tax_id: str = ""
    bank: tuple[str, ...] = ()
    logo: str = ""
    payment: tuple[Mapping[str, str], ...] = ()
    """The codes by which people pay, as `payment_codes.load_code` takes them."""
    language: str = ""
    sender: str = ""
    sender_name: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is printed."""
        return (self.name, *self.address, *self.contact, self.tax_id, *self.bank)


Issuers = Mapping[str, Issuer]
"""By the name that debts call them by; the first one, of debts that name none, has the empty name."""


def load_issuers(path: Path) -> Issuers:
    """What a file in TOML says: of the first issuer name, address, contact, tax_id, bank, logo (beside the file),
    payment, language, sender and sender_name, and the same of others in tables `[issuer.NAME]`. Raises ValueError for
    what is missing, too much, unknown or nonsense, and OSError."""
    try:
        given = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    others = given.pop("issuer", {})
    if not isinstance(others, dict) or not all(isinstance(one, dict) for one in others.values()):
        raise ValueError("other issuers are tables: [issuer.NAME]")
    if wrong := [name for name in others if not _NAME.fullmatch(name)]:
        raise ValueError(f"issuer {wrong[0]!r}: a name has 1 to 63 letters, digits, _ and -, and does not begin with -")
    issuers = {"": _issuer(path, given)}
    for name, one in others.items():
        try:
            issuers[name] = _issuer(path, one)
        except ValueError as error:
            raise ValueError(f"issuer {name}: {error}") from None
    return issuers


def _issuer(path: Path, given: dict[str, Any]) -> Issuer:
    if unknown := sorted(given.keys() - set(_FIELDS)):
        raise ValueError(f"{path} has {', '.join(unknown)}; it may have {', '.join(_FIELDS)}")
    name = _text(given, "name")
    if not name:
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
    for code in payment:
        for field in code:
            _text(code, field)
    if len({type(load_code(one)) for one in payment}) < len(payment):
        raise ValueError("payment has one table for each code at most")
    language, sender = _text(given, "language"), _text(given, "sender")
    if language and not LANGUAGE.fullmatch(language):
        raise ValueError(f"language {LANGUAGE_RULE}")
    if sender and not ADDRESS.fullmatch(sender):
        raise ValueError(f"sender {sender} is no e-mail address")
    return Issuer(
        name=name,
        address=_lines(given, "address"),
        contact=_lines(given, "contact"),
        tax_id=_text(given, "tax_id"),
        bank=_lines(given, "bank"),
        logo=logo,
        payment=tuple(payment),
        language=language,
        sender=sender,
        sender_name=_text(given, "sender_name"),
    )


def _text(given: dict[str, Any], field: str) -> str:
    value = given.get(field, "")
    if not isinstance(value, str) or len(value) > _LONGEST * _MOST_LINES or _CONTROL.search(value):
        raise ValueError(f"{field} is a line of text")
    return value.strip()


def _lines(given: dict[str, Any], field: str) -> tuple[str, ...]:
    value = given.get(field, [])
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or len(lines) > _MOST_LINES:
        raise ValueError(f"{field} is a list of at most {_MOST_LINES} lines")
    if any(not isinstance(one, str) or len(one) > _LONGEST or _CONTROL.search(one) for one in lines):
        raise ValueError(f"{field} has lines of text of at most {_LONGEST} characters")
    return tuple(lines)
