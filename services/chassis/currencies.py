"""The currencies of ISO 4217, with the places that their amounts have."""

from functools import cache
from typing import Final

PLACES_UNKNOWN: Final = 2
"""Places of an amount whose currency nobody names."""


@cache
def currency_places() -> dict[str, int]:
    """The places of every currency in use; without those of no amounts, such as gold or the code for tests."""
    from iso4217 import Currency  # some MiB that few deployments need

    return {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def places_of(currency: str) -> int:
    """The places of an amount of money; raises KeyError for what is no currency. Empty: not named."""
    return currency_places()[currency] if currency else PLACES_UNKNOWN
