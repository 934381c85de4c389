"""`tocsin logs`: what the parts of a mesh have logged, in one stream."""

import json
import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console

if TYPE_CHECKING:
    from rich.text import Text

    from services.cli.runtime.log_lines import LogLine

_POLL_SECONDS = 0.2
_COLOURS = {"debug": "bright_black", "info": "green", "warning": "yellow", "error": "red", "critical": "bold red"}
# Of no use to a reader: the part's name says it, or nearly.
_LEFT_OUT = frozenset({"logger", "worker", "exception"})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(logs)


def logs(
    part: Annotated[str, typer.Argument(help="Only this part's, like 'nats'; 'runtime' is the supervisor.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many lines of the past.")] = 100,
    level: Annotated[str, typer.Option(help="Only this level and above: debug, info, warning, error, critical.")] = (
        "debug"
    ),
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show what the parts have logged, merged in the order of time, whether the mesh is up or not."""
    from services.cli.runtime.log_lines import LEVELS
    from services.cli.runtime.log_reading import PartLog, in_time, known_logs
    from services.cli.runtime.state import StateDir, state_dir_path

    if level not in LEVELS:
        raise CommandError(f"--level is one of {', '.join(LEVELS)}, not {level!r}", exit_code=2)
    state = StateDir(state_dir_path(state_dir))
    names = known_logs(state.logs)
    if not names:
        raise CommandError(f"no mesh has logged in state directory {state.root} yet", exit_code=3)
    if part and part not in names:
        raise CommandError(f"no part called {part!r} has logged; there are {', '.join(names)}", exit_code=2)

    def wanted(line: "LogLine") -> bool:
        return line.at_least(level)

    def show(found: "Iterable[LogLine]") -> None:
        for line in found:
            if json:
                print(line.as_json())
            else:
                out.print(_rendered(line, width), soft_wrap=True)

    out = console()
    width = max(map(len, names))
    read = {name: PartLog(state.logs, name) for name in names if part in ("", name)}
    past = in_time([log.last(lines, wanted) for log in read.values()])
    show(past[max(0, len(past) - lines) :])
    while follow:
        out.file.flush()
        time.sleep(_POLL_SECONDS)
        for name in known_logs(state.logs):
            if not part and name not in read:
                read[name] = PartLog(state.logs, name)
        show(filter(wanted, in_time([log.added() for log in read.values()])))


def _rendered(line: "LogLine", width: int) -> "Text":
    """One line for people: local time, part, level, event, and the rest as name=value."""
    from rich.text import Text

    local = line.time.astimezone()
    day = "" if local.date() == datetime.now().astimezone().date() else f"{local:%Y-%m-%d} "
    text = Text(f"{day}{local:%H:%M:%S}.{local.microsecond // 1000:03d} ", style="bright_black")
    text.append(f"{line.part:<{width}} ", style="cyan")
    text.append(f"{line.level:<8} ", style=_COLOURS[line.level])
    text.append(_plain(line.event), style="default")
    for name, value in line.values.items():
        if name not in _LEFT_OUT and value is not None:
            text.append(f" {_plain(name)}=", style="bright_black")
            text.append(_plain(_value(value)), style="default")
    for error in _errors(line.values.get("exception")):
        text.append(f" {_plain(error)}", style="red")
    return text


def _value(value: Any) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s\"=]", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _errors(exception: Any) -> list[str]:
    """The errors of a structured traceback, the last cause last; the text of any other."""
    match exception:
        case None:
            return []
        case [*chain]:
            return [f"{one.get('exc_type')}: {one.get('exc_value')}" for one in chain if isinstance(one, dict)]  # pyright: ignore[reportUnknownMemberType] - JSON
        case _:
            return [str(exception)]


def _plain(text: str) -> str:
    """Without what a terminal would obey."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
