"""Single values of a former system's documents: times in every way it wrote them, text that can be stored, JSON."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from services.notification.domain.notification import MAX_DATA_BYTES

_MILLISECONDS = 100_000_000_000
"""From here on a number is of milliseconds: as seconds it would be the year 5138, as milliseconds it is 1973."""
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
_DAY = re.compile(r"(19|20)[0-9]{6}", re.ASCII)
"""20260501: as seconds it would be 1970."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_DEPTH = 25
"""Levels of `data`: a reader of protobuf takes 100, and needs three for each."""


class Unusable(Exception):
    """Why a document cannot become a notification; the message is for people."""


def read_time(value: Any, field: str) -> datetime | None:
    """A time as an aware datetime, ISO 8601 (UTC when it names no zone), or seconds or milliseconds since 1970, as a
    number or as text; None for none. Raises Unusable."""
    if value is None or value == "":
        return None
    try:
        at = _time(value)
    except (ValueError, OverflowError):
        at = None
    if at is None or not _EPOCH <= at < _LAST:
        raise Unusable(f"{field} is no time between 1970 and 9998: {shown(value)}")
    return at


def _time(value: Any) -> datetime | None:
    if isinstance(value, str):
        text = value.strip()
        if not _NUMBER.fullmatch(text) or _DAY.fullmatch(text):
            value = datetime.fromisoformat(text)
        else:
            value = float(text) if "." in text else int(text)
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _EPOCH + (timedelta(milliseconds=value) if abs(value) >= _MILLISECONDS else timedelta(seconds=value))
    return None


def read_data(value: Any) -> str | None:
    """The JSON of an object, or of the text of one; None for none. Raises Unusable."""
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise Unusable("data is text, and no JSON object") from None
    if value is None or value == "":
        return None
    if not isinstance(value, dict):
        raise Unusable(f"data is no object: {shown(value)}")
    _check_depth(value, 0)
    try:
        text = _DATA.encode(value)
    except ValueError:
        raise Unusable("data has a number that JSON does not have (NaN or an infinity)") from None
    if (size := len(storable(text, "data").encode())) > MAX_DATA_BYTES:
        raise Unusable(f"data has {size:,} bytes; {MAX_DATA_BYTES:,} are the most")
    if "\\u0000" in text:
        raise Unusable("data holds a NUL character, which no table can hold")
    return text


def _check_depth(value: Any, depth: int) -> None:
    if depth > _DEPTH:
        raise Unusable(f"data is nested deeper than {_DEPTH} levels")
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_depth(one, depth + 1)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


_DATA = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)


def storable(text: str, field: str) -> str:
    """The text itself. Raises Unusable where no table can hold it."""
    if "\x00" in text:
        raise Unusable(f"{field} holds a NUL character, which no table can hold")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unusable(f"{field} holds half a character (a lone surrogate)") from None
    return text


def shown(value: object) -> str:
    """A value as messages show it."""
    return ascii(value)[:80]
