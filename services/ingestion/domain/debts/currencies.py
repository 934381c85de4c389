"""How large an amount of a debt may be."""

from typing import Final

MAX_DIGITS: Final = 18
MAX_WHOLE: Final = 16
"""Digits of an amount in all, and before the point."""


def whole_digits(places: int) -> int:
    """How many digits an amount may have before the point."""
    return min(MAX_WHOLE, MAX_DIGITS - places)
