"""How commands print: Rich for people, JSON with `--json` for programs."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_SECONDS = re.compile(r"(?<![\w.:/-])(\d{1,9})s(?![\w-])")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_UNBROKEN = 100_000
"""Columns: more than any line has."""


def console(*, stderr: bool = False) -> "Console":
    """The terminal; where output is none, plain text of which no line is broken (COLUMNS sets a width)."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(highlight=False, stderr=stderr, width=None if terminal or "COLUMNS" in os.environ else _UNBROKEN)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> "RenderableType":
    """A table under its title. Columns named with a trailing `>` are aligned to the right; all but the last two keep
    their cells on one line. Title and cells are shown literally."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    result = Table(show_header=any(columns), header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        result.add_column(
            column.rstrip(">"),
            justify="right" if column.endswith(">") else "left",
            overflow="fold",
            no_wrap=index < len(columns) - 2,
        )
    for row in rows:
        result.add_row(*(cell if isinstance(cell, Text) else Text(_shown(cell)) for cell in row))
    # A title of the table itself would be folded to the width of the table.
    return Group(Text(title, "bold"), result) if title else result


def fields(title: str, values: Mapping[str, object]) -> "RenderableType":
    """A record: a line a field, without those that are unknown."""
    return table(title, ("", ""), [(name, value) for name, value in values.items() if value not in (None, "")])


def number(value: float | None, digits: int = 2) -> str:
    """A number for people; `-` when it is unknown."""
    return "-" if value is None else f"{value:,.{digits}f}"


def size(count: float, like: float | None = None) -> str:
    """Bytes for people, in the unit that suits `like` (by default themselves)."""
    measure = count if like is None else like
    if measure < 1e3:
        return f"{count:,.0f} B"
    return f"{count / 1e6:,.1f} MB" if measure >= 1e5 else f"{count / 1e3:,.1f} kB"


def counted(count: int, one: str, many: str = "") -> str:
    """So many of a thing, whose name ends with s where there are several: 1 row, 2,000 rows."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def in_larger_units(text: str) -> str:
    """The text with spans of time like 900s (as JSON has them) as 15m, where they are whole minutes, hours or days."""
    return _SECONDS.sub(_larger_unit, text)


def _larger_unit(found: re.Match[str]) -> str:
    seconds = int(found[1])
    units = ((86400, "d"), (3600, "h"), (60, "m"))
    return next((f"{seconds // size}{unit}" for size, unit in units if seconds and seconds % size == 0), found[0])


def _shown(cell: object) -> str:
    return "-" if cell is None else str(cell)
