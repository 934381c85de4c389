"""Options that several commands share."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from services.cli.errors import CommandError

StateDirOption = Annotated[
    Path | None,
    typer.Option("--state-dir", help="Where the mesh keeps its state. [env: TOCSIN_STATE_DIR; default: .tocsin]"),
]


def finite(value: float | None) -> float | None:
    """Callback of options and arguments that are numbers: JSON has neither NaN nor infinity."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("must be a finite number")
    return value


def span(text: str, option: str) -> str:
    """A span of time as the contract's JSON has it. Raises CommandError."""
    from services.chassis.settings import parse_duration

    if not text:
        return ""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise CommandError(f"{option} {error}", exit_code=2) from None
    assert isinstance(found, timedelta)
    return f"{found.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def ago(text: str, option: str) -> str:
    """The time so long ago as the contract's JSON has it; empty for nothing. Raises CommandError."""
    if not text:
        return ""
    at = datetime.now(UTC) - timedelta(seconds=float(span(text, option).removesuffix("s")))
    return at.isoformat().replace("+00:00", "Z")


def service_name(text: str) -> str:
    """What an option `--service` names, in either spelling; empty for all. Raises CommandError."""
    from services.cli.runtime.settings import SERVICES, part_name

    name = text.replace("-", "_")
    if name and name not in SERVICES:
        known = ", ".join(part_name(one) for one in SERVICES)
        raise CommandError(f"--service is one of {known}, not {text!r}", exit_code=2)
    return name


def debt_file_id(text: str) -> str:
    """The id of a debt file, or nothing. Raises CommandError for what is none, such as the name of a file."""
    from services.chassis.ids import is_id

    if text and not is_id(text):
        raise CommandError(f"{text!r} is no id of a debt file; 'tocsin debts files' lists them", exit_code=2)
    return text


def one_of(text: str, known: Sequence[str], option: str) -> str:
    """The value in capitals, with its words joined by `_`; empty stays empty. Raises CommandError for another one than
    the known ones."""
    name = text.upper().replace("-", "_").replace(" ", "_")
    if name and name not in known:
        raise CommandError(f"{option} is one of {', '.join(known)}, not {text!r}", exit_code=2)
    return name
