"""The gateway's settings, by the table that the gateway is built with."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import TypedDict

from services.chassis.settings import Refused, parse_duration, parse_size, require, split_address
from services.cli.runtime.settings import PROJECT

_TABLE = PROJECT / "gateway" / "internal" / "config" / "settings.json"


class Entry(TypedDict, total=False):
    """A line of the table."""

    name: str
    type: str
    default: str
    least: str
    most: str
    meaning: str


def entries() -> list[Entry]:
    """The whole table."""
    return json.loads(_TABLE.read_text())


def check_gateway(environment: Mapping[str, str]) -> None:
    """Raises Refused about the first variable that the gateway would refuse."""
    for entry in entries():
        if text := environment.get(entry.get("name", "")):
            _check(entry, text)


def _check(entry: Entry, text: str) -> None:
    name, kind = entry.get("name", ""), entry.get("type", "")
    least, most = entry.get("least", ""), entry.get("most", "")
    match kind:
        case "address":
            split_address(text, name)
        case "number":
            right = text.isascii() and text.isdigit() and int(least) <= int(text) <= int(most)
            require(right, name, f"must be a whole number from {least} to {most}, not {text!r}")
        case "size":
            try:
                right = _bytes(least) <= _bytes(text) <= _bytes(most)
            except ValueError as error:
                raise Refused(name, str(error)) from None
            require(right, name, f"must be from {least} to {most}, not {text!r}")
        case "duration":
            try:
                found = parse_duration(text)
            except ValueError as error:
                raise Refused(name, str(error)) from None
            right = isinstance(found, timedelta) and timedelta(0) < found <= timedelta(hours=1)
            require(right, name, "must be above 0s and at most 1h")
        case "ratio":
            require(_ratio(text), name, "must be from 0 to 1")
        case "file" | "text":
            pass
        case _:
            choices = kind.replace(",", " or").split(" or ")
            require(text in [choice.strip() for choice in choices], name, f"must be {kind}, not {text!r}")


def _bytes(text: str) -> int:
    return int(str(parse_size(text)))


def _ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
