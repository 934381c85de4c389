"""How amounts and dates are written in a country, from the locale data of Unicode (CLDR)."""

from services.ingestion.domain.debts.conventions import DateOrder, Signs
from services.ingestion.domain.debts.errors import ConventionsInvalid

_ORDERS = {"d": DateOrder.DAY_FIRST, "M": DateOrder.MONTH_FIRST, "y": DateOrder.YEAR_FIRST}

_APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}"


def signs_of(locale: str) -> Signs:
    """The signs of a locale such as `pt-BR`; those of the formats without locale (1234.50, 2026-12-31) for none.
    Raises ConventionsInvalid."""
    if not locale:
        return Signs(".", "", DateOrder.ISO)
    from babel import Locale, UnknownLocaleError  # some MiB that few deployments need

    try:
        found = Locale.parse(locale.replace("-", "_"))
        symbols = found.number_symbols["latn"]
    except (UnknownLocaleError, ValueError, TypeError, KeyError):
        rule = f"the locale {locale[:40]!r} is not known; say one like pt-BR, de-DE or en-GB"
        raise ConventionsInvalid("locale", rule, locale) from None
    group = symbols["group"]
    if group.isspace():
        group = " "  # spaces of all kinds are read as this one
    elif group in _APOSTROPHES:
        group = _APOSTROPHES
    pattern = str(found.date_formats["short"].pattern)
    order = _ORDERS[next(sign for sign in pattern if sign in _ORDERS)]
    _, group_size = found.decimal_formats[None].grouping
    return Signs(symbols["decimal"], group, order, group_size)
