"""Codes that a bank's app reads from an invoice: who is paid, how much, and for what."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from decimal import Decimal
from typing import ClassVar, Final

from services.notification.domain.boleto import Boleto

_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", re.ASCII)
_ALIASES: Final = frozenset({"00", "01", "99"})
"""No check digits of an IBAN (98 less a remainder of 97), although they pass."""
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)
_IBAN_LENGTHS: Final = {
    15: "NO",
    16: "BE",
    18: "DK FI NL",
    19: "MK SI",
    20: "AT EE LT LU",
    21: "CH HR LI LV",
    22: "BG DE GB IE ME RS VA",
    23: "GI",
    24: "AD CZ ES MD RO SE SK",
    25: "PT",
    26: "IS",
    27: "FR GR IT MC SM",
    28: "AL CY HU PL",
    31: "MT",
}
"""The countries of SEPA (EPC409-09) by the length of their IBANs (ISO 13616)."""
_SEPA: Final = {country: length for length, countries in _IBAN_LENGTHS.items() for country in countries.split()}
_CPF = 11
_EPC_BYTES: Final = 331
_REGISTERED = re.compile(r"\d{11}|[0-9A-Z]{12}\d{2}", re.ASCII)
_ATOM: Final = "[a-z0-9!#$&'*+/=?^_`{|}~-]+"
_PIX_KEYS: Final = (
    _REGISTERED,
    re.compile(r"\+[1-9]\d{1,14}", re.ASCII),
    re.compile(rf"{_ATOM}(\.{_ATOM})*@[a-z0-9-]+(\.[a-z0-9-]+)+", re.ASCII),
    re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII),
)
"""CPF or CNPJ, telephone, e-mail, random key, as the central bank's manual writes them."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LETTERS: Final = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "Æ": "AE", "æ": "ae", "Œ": "OE", "œ": "oe", "Ø": "O", "ø": "o", "Ł": "L", "ł": "l"}
    | {"Đ": "D", "đ": "d", "Ð": "D", "ð": "d", "Þ": "Th", "þ": "th", "\u0131": "i", "\u2019": "'", "\u2013": "-"}
)
"""Letters that are none with an accent."""
_TXID = re.compile(r"[A-Za-z0-9]{1,25}", re.ASCII)


class CodeImpossible(Exception):
    """The debt cannot be paid by this code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is to be paid, in the currency of the code."""

    reference: str
    amount: Decimal
    due: date
    issued: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Epc:
    """A SEPA credit transfer (EPC069-12, version 2): euros to an IBAN."""

    currency: ClassVar[str] = "EUR"
    name: str
    iban: str
    bic: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError."""
        iban = self.iban.replace(" ", "").upper()
        object.__setattr__(self, "iban", iban)
        if not _IBAN.fullmatch(iban) or iban[2:4] in _ALIASES or _number(iban[4:] + iban[:4]) % 97 != 1:
            raise ValueError(f"iban {self.iban} has wrong check digits, or is none")
        if len(iban) != _SEPA.get(iban[:2]):
            rule = f"those of {iban[:2]} have {_SEPA[iban[:2]]}" if iban[:2] in _SEPA else "its country is not in SEPA"
            raise ValueError(f"iban {iban} has {len(iban)} characters; {rule}")
        if self.bic and not _BIC.fullmatch(self.bic):
            raise ValueError(f"bic {self.bic} is none")
        if not 1 <= len(self.name.strip()) <= 70 or _CONTROL.search(self.name):
            raise ValueError("name has 1 to 70 characters on one line")

    def payload(self, bill: Bill) -> str:
        """What the code says. Raises CodeImpossible."""
        if not Decimal("0.01") <= bill.amount <= Decimal("999999999.99"):
            raise CodeImpossible("a SEPA code is for 0.01 to 999999999.99 EUR")
        head = ("BCD", "002", "1", "SCT", self.bic, self.name.strip(), self.iban)
        said = "\n".join((*head, f"EUR{bill.amount:.2f}", "", "", bill.reference))
        if len(said.encode()) > _EPC_BYTES:
            raise CodeImpossible(f"a SEPA code holds {_EPC_BYTES} bytes: the name is too long for this reference")
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Pix:
    """A Pix payment in Brazil, "copia e cola" (the central bank's manual of the BR Code, an EMV QR code): reais to a
    key."""

    currency: ClassVar[str] = "BRL"
    key: str
    name: str
    city: str

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if len(self.key) > 77 or not any(form.fullmatch(self.key) for form in _PIX_KEYS):
            raise ValueError(
                "key is a Pix key: a CPF or CNPJ without dots, a telephone like +5561912345678, an e-mail address in "
                "small letters, or a random key like 123e4567-e12b-12d1-a456-426655440000"
            )
        if _REGISTERED.fullmatch(self.key) and not _registered(self.key):
            raise ValueError(
                f"key {self.key} has wrong check digits for a {'CPF' if len(self.key) == _CPF else 'CNPJ'}"
            )
        if not all(any(map(str.isalnum, _plain(text, size))) for text, size in ((self.name, 25), (self.city, 15))):
            raise ValueError("name and city have a letter at least")

    def payload(self, bill: Bill) -> str:
        """What the code says; the reference is in it where it is of letters and digits. Raises CodeImpossible."""
        if not Decimal("0.01") <= bill.amount <= Decimal("9999999999.99"):
            raise CodeImpossible("a Pix code is for 0.01 to 9999999999.99 BRL")
        return self.code(f"{bill.amount:.2f}", bill.reference if _TXID.fullmatch(bill.reference) else "***")

    def code(self, amount: str, txid: str) -> str:
        """For an amount, or for any where it is empty."""
        account = _field("00", "br.gov.bcb.pix") + _field("01", self.key)
        told = _field("00", "01") + _field("26", account) + _field("52", "0000") + _field("53", "986")
        told += (_field("54", amount) if amount else "") + _field("58", "BR")
        told += _field("59", _plain(self.name, 25)) + _field("60", _plain(self.city, 15))
        told += _field("62", _field("05", txid)) + "6304"
        return told + f"{_crc16(told.encode('ascii')):04X}"


def load_code(given: Mapping[str, str]) -> Epc | Pix | Boleto:
    """The code that a table of an issuer's file describes. Raises ValueError."""
    kinds = {"epc": Epc, "pix": Pix, "boleto": Boleto}
    rest = {name: value for name, value in given.items() if name != "code"}
    kind = kinds.get(str(given.get("code")))
    if kind is None:
        raise ValueError(f"payment has code {given.get('code')!r}; it is one of {', '.join(kinds)}")
    if any(not isinstance(value, str) for value in rest.values()):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"payment {given['code']} has texts only (in quotes)")
    known = {one.name: one.default is MISSING for one in fields(kind)}
    if unknown := sorted(rest.keys() - known.keys()):
        raise ValueError(f"payment {given['code']} has {', '.join(unknown)}; it may have code, {', '.join(known)}")
    if lacking := [name for name, needed in known.items() if needed and name not in rest]:
        raise ValueError(f"payment {given['code']} has no {', '.join(lacking)}")
    return kind(**rest)


def _registered(number: str) -> bool:
    """Whether the last two digits of a CPF or CNPJ are the check digits of what is before them (modulo 11). A CNPJ may
    have letters since July 2026, which count by their place in ASCII. One digit all along passes, and is nobody's."""
    if len(set(number)) == 1:
        return False
    values, cycle = [ord(one) - ord("0") for one in number], 10 if len(number) == _CPF else 8
    for end in (len(number) - 2, len(number) - 1):
        rest = sum(value * (2 + place % cycle) for place, value in enumerate(reversed(values[:end]))) % 11
        if values[end] != (0 if rest < 2 else 11 - rest):
            return False
    return True


def _number(iban: str) -> int:
    return int("".join(str(int(one, 36)) for one in iban))


def _field(id_: str, value: str) -> str:
    return f"{id_}{len(value):02d}{value}"


def _plain(text: str, longest: int) -> str:
    """Without accents, as the code has it."""
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(one for one in apart if one.isascii() and one.isprintable())[:longest].strip()


def _crc16(content: bytes) -> int:
    """CRC-16 with the polynomial 0x1021 from 0xFFFF, as EMV asks."""
    crc = 0xFFFF
    for byte in content:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc
