"""A vendor's JSON payload, read field by field; every complaint names the field as `content.energy`.

Hostile input is an ordinary complaint: invalid UTF-8, deep nesting, huge numbers, NaN and Infinity, other types.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn, cast

from services.chassis.ids import ID_RULE, is_id
from services.ingestion.domain.errors import PayloadNotUnderstood
from services.ingestion.domain.reading import to_microseconds

MAX_BYTES = 64 * 1024
_MAX_DIGITS = 400
_MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they lie after the year 5100, as milliseconds from 1973 on."""
_LATEST_SECONDS = 253_402_300_799.0  # the end of the year 9999


class Document:
    """A JSON object."""

    def __init__(self, content: Mapping[str, object]) -> None:
        self._content = content

    @classmethod
    def parse(cls, payload: bytes) -> "Document":
        """Raises PayloadNotUnderstood unless `payload` is one JSON object in UTF-8 of at most 64 KiB."""
        if len(payload) > MAX_BYTES:
            raise PayloadNotUnderstood("", f"is larger than {MAX_BYTES} bytes")
        try:
            content: object = json.loads(
                payload.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_int=_number, parse_float=_number
            )
        except UnicodeDecodeError as error:
            raise PayloadNotUnderstood("", f"is not UTF-8 at byte {error.start}") from None
        except RecursionError:
            raise PayloadNotUnderstood("", "is nested too deeply") from None
        except ValueError as error:
            where = f" at byte {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
            raise PayloadNotUnderstood("", f"is not valid JSON{where}") from None
        if not isinstance(content, dict):
            raise PayloadNotUnderstood("", "must be a JSON object")
        return cls(cast(dict[str, object], content))

    def id(self, path: str) -> str:
        """A resource id."""
        value = self._get(path)
        if not isinstance(value, str) or not is_id(value):
            raise PayloadNotUnderstood(path, ID_RULE)
        return value

    def number(self, path: str) -> float:
        """A finite number."""
        value = self._get(path)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise PayloadNotUnderstood(path, "must be a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise PayloadNotUnderstood(path, "must be a number that a double can hold")
        return number

    def integer(self, path: str, minimum: int, maximum: int) -> int:
        """A whole number from `minimum` to `maximum`."""
        number = self.number(path)
        if number != int(number) or not minimum <= number <= maximum:
            raise PayloadNotUnderstood(path, f"must be a whole number from {minimum} to {maximum}")
        return int(number)

    def time_us(self, path: str) -> int:
        """An instant, in microseconds since the Unix epoch. Accepts seconds (with fractions) or, from 1e11 on,
        milliseconds since the epoch, or RFC 3339 text with its offset."""
        value = self._get(path)
        if isinstance(value, str):
            return _parse_time(path, value)
        seconds = self.number(path)
        if abs(seconds) >= _MILLISECONDS_FROM:
            seconds /= 1000.0
        if not 0 <= seconds <= _LATEST_SECONDS:
            raise PayloadNotUnderstood(path, "must be seconds or milliseconds since 1970")
        return round(seconds * 1e6)

    def has(self, path: str) -> bool:
        """Whether the field is there and not null."""
        value: object = self._content
        for name in path.split("."):
            if not isinstance(value, dict):
                return False
            value = value.get(name)
        return value is not None

    def _get(self, path: str) -> object:
        value: object = self._content
        seen: list[str] = []
        for name in path.split("."):
            if not isinstance(value, dict):
                raise PayloadNotUnderstood(".".join(seen), "must be a JSON object")
            seen.append(name)
            value = value.get(name)
            if value is None:
                raise PayloadNotUnderstood(".".join(seen), "is missing")
        return value


def _parse_time(path: str, text: str) -> int:
    try:
        instant = datetime.fromisoformat(text) if len(text) <= 40 else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None or "T" not in text.upper():
        raise PayloadNotUnderstood(path, "must be a time like 2026-01-31T12:00:00Z, or a number")
    try:
        return to_microseconds(instant)
    except OverflowError:
        raise PayloadNotUnderstood(path, "must lie in the years 1 to 9999") from None


def _number(text: str) -> float | int:
    if any(c in text for c in ".eE"):
        return float(text)
    # Python refuses to convert very long whole numbers; a double does not hold them anyway.
    return int(text) if len(text) <= _MAX_DIGITS else math.inf


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
