"""What invoices and their e-mails say: a file for each language, and amounts and dates as they are written there."""

import importlib.resources
import tomllib
from copy import copy
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberPattern, format_decimal

from services.chassis.currencies import PLACES_UNKNOWN, currency_places
from services.notification.domain.issuer import LANGUAGES


@dataclass(frozen=True)
class Language:
    """How somebody is written to. `tag` as BCP 47 has it (`pt-BR`)."""

    tag: str
    locale: Locale
    invoice: dict[str, str]
    mail: dict[str, str]

    def amount(self, amount: str, currency: str) -> str:
        """With its currency, if there is one, and grouped as it is written there."""
        value = Decimal(amount)
        if not currency:
            return format_decimal(value, "#,##0.00", locale=self.locale)
        places = max(currency_places().get(currency, PLACES_UNKNOWN), -int(value.normalize().as_tuple().exponent))
        return _pattern(self.tag, places).apply(value, self.locale, currency=currency, currency_digits=False)

    def date(self, day: str) -> str:
        """In full; a text that is no date in ISO 8601 is left as it is."""
        return _long_date(self.tag, day)


@lru_cache(maxsize=256)
def _pattern(tag: str, places: int) -> NumberPattern:
    pattern = copy(Locale.parse(tag, sep="-").currency_formats["standard"])
    pattern.frac_prec = (places, places)
    return pattern


@lru_cache(maxsize=4096)
def _long_date(tag: str, day: str) -> str:
    try:
        return format_date(date.fromisoformat(day), "long", locale=Locale.parse(tag, sep="-"))
    except ValueError:
        return day


def is_known(tag: str) -> bool:
    """Whether there are texts for the language."""
    try:
        return Locale.parse(tag, sep="-").language in LANGUAGES
    except (ValueError, UnknownLocaleError):
        return False


@lru_cache(maxsize=256)
def language(tag: str, otherwise: str = "en") -> Language:
    """The language, or another one where there are no texts for it."""
    chosen = tag if is_known(tag) else otherwise
    locale = Locale.parse(chosen, sep="-")
    texts = _texts(locale.language)
    return Language(chosen, locale, texts["invoice"], texts["mail"])


@cache
def _texts(name: str) -> dict[str, Any]:
    return tomllib.loads(importlib.resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
