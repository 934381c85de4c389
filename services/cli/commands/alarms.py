"""`tocsin alarms`: what needs somebody, and the rules that say so."""

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from services.cli import alarm_rule_commands
from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, print_json, table

if TYPE_CHECKING:
    from rich.text import Text

_OPEN = ("PENDING", "RAISED", "ACKNOWLEDGED")
_STATES = (*_OPEN, "CLEARED")
_COLOURS = {"PENDING": "cyan", "RAISED": "red", "ACKNOWLEDGED": "yellow", "CLEARED": "green"}

app = typer.Typer(help="List alarms, acknowledge or close them, and keep their rules.", invoke_without_command=True)
app.add_typer(alarm_rule_commands.app, name="rule")
app.command("rules")(alarm_rule_commands.rules)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="alarms")


@app.callback()
def list_(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="Only PENDING, RAISED, ACKNOWLEDGED or CLEARED; may be repeated.")
    ] = None,
    building: Annotated[str, typer.Option(help="Only of this building.")] = "",
    room: Annotated[str, typer.Option(help="Only of this room.")] = "",
    rule: Annotated[str, typer.Option(help="Only of this rule.")] = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are cleared, too, after the open ones.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List alarms that are open, the latest first; with --all those that are over after them."""
    if context.invoked_subcommand is not None:
        return
    from services.cli.client import answer, open_mesh

    states = [name.upper() for name in state or ()]
    for name in states:
        if name not in _STATES:
            raise CommandError(f"--state is one of {', '.join(_STATES)}, not {name!r}", exit_code=2)
    wanted = {name: text for name, text in {"building": building, "room": room, "rule": rule}.items() if text}
    asked: list[list[str]] = [states] if states else [list(_OPEN), *([["CLEARED"]] if everything else [])]
    alarms: list[dict[str, Any]] = []
    more = False
    with open_mesh(state_dir).http(scopes=["alarms:read"]) as client:
        for group in asked:
            if len(alarms) == limit:
                more = True
                break
            query: dict[str, str | int | list[str]] = {"pageSize": limit - len(alarms), "states": group, **wanted}
            page: dict[str, Any] = answer(client.get("/v1/alarms", params=query))
            alarms += page.get("alarms", [])
            more = more or bool(page.get("nextPageToken"))
    if json:
        print_json(alarms)
    elif not alarms:
        console().print(
            "[green]no alarms[/]" if everything or states else "[green]no open alarms[/]; --all shows the rest"
        )
    else:
        console().print(table("Alarms", ("since (UTC)", "state", "what"), [_row(alarm) for alarm in alarms]))
        if more:
            console().print("[dim]and more; --limit and the filters choose[/]")


def _row(alarm: dict[str, Any]) -> "tuple[str, Text, Text]":
    from rich.text import Text

    state, since = alarm["state"], alarm["startTime"][:19].replace("T", " ")
    what = Text(alarm["rule"], style="bold")
    what.append(f"\n{alarm['message']}", style="not bold")
    if by := alarm.get("acknowledgedBy"):
        note = f": {alarm['note']}" if alarm.get("note") else ""
        what.append(f"\n{by}{note}", style="not bold yellow")
    if alarm.get("historical"):
        what.append("\nold when it came: nobody was told", style="not bold dim")
    if why := _cleared(alarm):
        what.append(f"\n{why}", style="not bold green")
    what.append(f"\n{alarm['id']}", style="not bold dim")
    return since, Text(f"{state}\n{alarm.get('severity', '')}", style=_COLOURS.get(state, "")), what


def _cleared(alarm: dict[str, Any]) -> str:
    """Why an alarm is cleared, where that is not because its condition ended; and whether it was any."""
    if (revocation := alarm.get("revocation")) is not None:
        who = f"{by} has amended the reading: " if (by := revocation.get("by")) else ""
        return f"was none: {who}{revocation.get('reason', '')}"
    match alarm.get("clearCause"):
        case "CLOSED_BY_HAND":
            return f"closed by {alarm['closedBy']}: {alarm['closeReason']}"
        case "DEVICE_LEFT":
            return "closed: the device was moved or deleted"
        case "RULE_CHANGED":
            return "closed: the rule was changed, disabled or deleted"
        case "READING_AMENDED":
            return "was none: somebody has amended the reading"
        case _:
            return ""


@app.command()
def ack(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The alarm, as the list shows it.")],
    note: Annotated[str, typer.Option(help="A note for the others.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Acknowledge a raised alarm: you take care of it."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        body = {"note": note} if note else {}
        alarm: dict[str, Any] = answer(client.post(f"/v1/alarms/{quote(id_, safe='')}:acknowledge", json=body))
    if json:
        print_json(alarm)
    else:
        console().print(f"[yellow]{alarm['state']}[/] by {alarm['acknowledgedBy']}")


@app.command()
def close(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The alarm, as the list shows it.")],
    reason: Annotated[str, typer.Option(help="Why, for the others.")],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Close an alarm whose condition may still be met: it rings again only when that has ended and is met anew."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        body = {"reason": reason}
        alarm: dict[str, Any] = answer(client.post(f"/v1/alarms/{quote(id_, safe='')}:close", json=body))
    if json:
        print_json(alarm)
    else:
        console().print(f"[green]{alarm['state']}[/] by {alarm['closedBy']}")
