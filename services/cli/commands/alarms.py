"""`tocsin alarms`: what needs somebody, and the rules that say so."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from services.cli.alarm_rules import ConditionOptions, condition_text, scope_text, series_text, silence_text
from services.cli.errors import CommandError
from services.cli.options import StateDirOption, finite
from services.cli.output import JsonOption, console, print_json, table

if TYPE_CHECKING:
    from rich.text import Text

_STATES = ("PENDING", "RAISED", "ACKNOWLEDGED", "CLEARED")
_COLOURS = {"PENDING": "cyan", "RAISED": "red", "ACKNOWLEDGED": "yellow", "CLEARED": "green"}
_SEVERITIES = ("INFO", "WARNING", "CRITICAL")

app = typer.Typer(help="List alarms, acknowledge them, and keep their rules.", invoke_without_command=True)
rule_app = typer.Typer(help="Add, list and remove rules of alarms.", no_args_is_help=True)
app.add_typer(rule_app, name="rule")


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
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List alarms, the latest first."""
    if context.invoked_subcommand is not None:
        return
    from services.cli.client import answer, open_mesh

    states = [name.upper() for name in state or ()]
    for name in states:
        if name not in _STATES:
            raise CommandError(f"--state is one of {', '.join(_STATES)}, not {name!r}", exit_code=2)
    query: dict[str, str | int | list[str]] = {"pageSize": limit, "states": states}
    query |= {name: text for name, text in {"building": building, "room": room, "rule": rule}.items() if text}
    with open_mesh(state_dir).http(scopes=["alarms:read"]) as client:
        page: dict[str, Any] = answer(client.get("/v1/alarms", params=query))
    alarms: list[dict[str, Any]] = page.get("alarms", [])
    if json:
        print_json(alarms)
    elif not alarms:
        console().print("[green]no alarms[/]")
    else:
        console().print(table("Alarms", ("since", "state", "what"), [_row(alarm) for alarm in alarms]))
        if page.get("nextPageToken"):
            console().print("[dim]and more; --limit and the filters choose[/]")


def _row(alarm: dict[str, Any]) -> "tuple[str, Text, Text]":
    from rich.text import Text

    state, since = alarm["state"], alarm["startTime"][:19].replace("T", " ")
    what = Text(alarm["rule"], style="bold")
    what.append(f"\n{alarm['message']}", style="not bold")
    if by := alarm.get("acknowledgedBy"):
        note = f": {alarm['note']}" if alarm.get("note") else ""
        what.append(f"\n{by}{note}", style="not bold yellow")
    what.append(f"\n{alarm['id']}", style="not bold dim")
    return since, Text(f"{state}\n{alarm.get('severity', '')}", style=_COLOURS.get(state, "")), what


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
def rules(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 100,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List the rules."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:read"]) as client:
        found: list[dict[str, Any]] = answer(client.get("/v1/alarmRules", params={"pageSize": limit})).get("rules", [])
    if json:
        print_json(found)
    elif not found:
        console().print("[yellow]no rules[/]; 'tocsin alarms rule add --help' tells how to make one")
    else:
        rows = [
            (
                one["id"] + (" (disabled)" if one.get("disabled") else ""),
                one.get("severity", ""),
                scope_text(one),
                series_text(one),
                condition_text(one) + (f"\ntells {', '.join(one['notify'])}" if one.get("notify") else ""),
            )
            for one in found
        ]
        console().print(table("Rules of alarms", ("id", "severity", "where", "series", "what"), rows))


rule_app.command("list")(rules)


@rule_app.command()
def add(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the rule, for example `too-hot`.")],
    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type that it is about.")] = "",
    building: Annotated[str, typer.Option(help="Only this building.")] = "",
    room: Annotated[str, typer.Option(help="Only this room.")] = "",
    device: Annotated[str, typer.Option(help="Only this device.")] = "",
    above: Annotated[float | None, typer.Option(callback=finite, help="Values above this (canonical unit).")] = None,
    below: Annotated[float | None, typer.Option(callback=finite, help="Values below this.")] = None,
    hysteresis: Annotated[float | None, typer.Option(callback=finite, help="How far back ends it.")] = None,
    lasting: Annotated[str, typer.Option("--for", help="How long it must last before it is raised, like 5m.")] = "",
    no_data: Annotated[str, typer.Option(help="Nothing for this long, like 10m.")] = "",
    completeness: Annotated[
        float | None, typer.Option(callback=finite, help="Less than this share (0..1) of a window.")
    ] = None,
    step: Annotated[str, typer.Option(help="Length of those windows, like 15m.")] = "",
    covered: Annotated[bool, typer.Option("--covered", help="Judge covered time, not readings received.")] = False,
    flat: Annotated[str, typer.Option(help="The same value for this long, like 1h.")] = "",
    tolerance: Annotated[float | None, typer.Option(callback=finite, help="What still counts as the same.")] = None,
    rate: Annotated[float | None, typer.Option(callback=finite, help="Changes steeper than this per hour.")] = None,
    direction: Annotated[str, typer.Option(help="RISING or FALLING; both by default.")] = "",
    over: Annotated[str, typer.Option(help="Time between what is compared, like 10m.")] = "",
    full: Annotated[
        float | None, typer.Option(callback=finite, help="A container at or above this level (percent).")
    ] = None,
    emptied: Annotated[bool, typer.Option("--emptied", help="A container is emptied.")] = False,
    severity: Annotated[str, typer.Option(help="INFO, WARNING or CRITICAL.")] = "WARNING",
    title: Annotated[str, typer.Option(help="Title for people; the id by default.")] = "",
    tenant: Annotated[str, typer.Option(help="Tenant on whose behalf people are told.")] = "",
    notify: Annotated[list[str] | None, typer.Option(help="User to tell; may be repeated.")] = None,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The rule as JSON, in place of the other options.")
    ] = None,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Add a rule: `tocsin alarms rule add too-hot --type temperature --above 303 --for 5m`."""
    from services.cli.client import answer, open_mesh

    options = ConditionOptions(
        above=above,
        below=below,
        hysteresis=hysteresis,
        lasting=lasting,
        completeness=completeness,
        covered=covered,
        step=step,
        no_data=no_data,
        flat=flat,
        tolerance=tolerance,
        rate=rate,
        direction=direction,
        over=over,
        full=full,
        emptied=emptied,
    )
    if severity.upper() not in _SEVERITIES:
        raise CommandError(f"--severity is one of {', '.join(_SEVERITIES)}, not {severity!r}", exit_code=2)
    if file is not None:
        rule = {**_read(file), "id": id_}
    else:
        texts = {"building": building, "room": room, "device": device, "title": title, "tenant": tenant}
        rule = {"id": id_, "sensorType": sensor_type, "severity": severity.upper(), **options.condition()}
        rule |= {name: text for name, text in texts.items() if text} | ({"notify": notify} if notify else {})
    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        made: dict[str, Any] = answer(client.post("/v1/alarmRules", json=rule))
    if json:
        print_json(made)
    else:
        console().print(f"[green]added[/] {made['id']}: {scope_text(made)} {condition_text(made)}", markup=True)
        if not made.get("matchingSeries"):
            console().print(f"[yellow]It raises nothing for now:[/] {silence_text(made)}.")


def _read(file: Path) -> dict[str, Any]:
    import json as json_module

    try:
        rule = json_module.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{file} is no JSON: {error}", exit_code=2) from None
    if not isinstance(rule, dict):
        raise CommandError(f"{file} holds no JSON object", exit_code=2)
    return rule  # pyright: ignore[reportUnknownVariableType] - keys of a JSON object are text


@rule_app.command()
def remove(id_: Annotated[str, typer.Argument(metavar="ID")], state_dir: StateDirOption = None) -> None:
    """Remove a rule; its open alarms are cleared."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        answer(client.delete(f"/v1/alarmRules/{quote(id_, safe='')}"))
    console().print("[green]removed[/]")
