"""`tocsin alarms rule`: the rules that say what is worth an alarm."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.alarm_rules import (
    ConditionOptions,
    NoticeOptions,
    SeriesOptions,
    condition_text,
    scope_text,
    series_text,
    silence_text,
)
from services.cli.errors import CommandError
from services.cli.option_groups import with_option_groups
from services.cli.options import StateDirOption, span
from services.cli.output import JsonOption, console, print_json, table

_CONDITIONS = (
    "threshold",
    "completeness",
    "noData",
    "flatLine",
    "rateOfChange",
    "containerFull",
    "containerEmptied",
)
_OUTPUT_ONLY = ("createTime", "updateTime", "matchingSeries", "unmatched", "canonicalUnit")

app = typer.Typer(help="Add, change, try, list and remove rules of alarms.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the rule, for example `too-hot`.")]


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


app.command("list")(rules)


@app.command()
@with_option_groups
def add(
    id_: Id,
    series: SeriesOptions,
    condition: ConditionOptions,
    notices: NoticeOptions,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="The rule as JSON, in place of the other options.")
    ] = None,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Add a rule: `tocsin alarms rule add too-hot --type temperature --above 30 --unit C --for 5m`."""
    from services.cli.client import answer, open_mesh

    if file is not None:
        rule = {**_read(file), "id": id_}
    elif not series.sensor_type:
        raise CommandError("--type is required: the sensor type that the rule is about", exit_code=2)
    else:
        rule = {"id": id_, **series.given(), "severity": "WARNING", **notices.given(), **condition.condition()}
    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        made: dict[str, Any] = answer(client.post("/v1/alarmRules", json=rule))
    _show("added", made, json=json)


@app.command()
@with_option_groups
def change(
    id_: Id,
    series: SeriesOptions,
    condition: ConditionOptions,
    notices: NoticeOptions,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Change what is given of a rule; a condition is replaced as a whole."""
    from services.cli.client import answer, open_mesh

    changes = series.given() | notices.given() | (condition.condition() if condition.any else {})
    if not changes:
        raise CommandError("say what is to change", exit_code=2)
    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        made: dict[str, Any] = answer(client.patch(_path(id_), json=changes, params={"updateMask": ",".join(changes)}))
    _show("changed", made, json=json)


@app.command("try")
@with_option_groups
def try_(
    id_: Id,
    series: SeriesOptions,
    condition: ConditionOptions,
    since: Annotated[str, typer.Option(help="How far back, like 7d; at most 31d.")] = "7d",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Say what a rule would have raised: the one with this id, with what is given changed; or one not there yet."""
    from services.cli.client import answer, open_mesh

    changes = series.given() | (condition.condition() if condition.any else {})
    moment = datetime.now(UTC) - timedelta(seconds=float(span(since, "--since").removesuffix("s")))
    with open_mesh(state_dir).http(scopes=["alarms:read", "alarms:write"]) as client:
        rule: dict[str, Any] = {"id": id_}
        known = client.get(_path(id_))
        if known.status_code != 404:
            rule = _without_condition(answer(known), changes)
        elif not condition.any or not series.sensor_type:
            raise CommandError(f"there is no rule {id_}; --type and a condition try one that is not there", exit_code=2)
        body = {"rule": rule | changes, "since": moment.isoformat()}
        found: dict[str, Any] = answer(client.post("/v1/alarmRules:try", json=body))
    if json:
        print_json(found)
        return
    raised, judged = found.get("raised", 0), found.get("series", 0)
    times = "once" if raised == 1 else f"{raised:,} times"
    console().print(f"would have been raised {times} since {found['start'][:19]}Z, by {judged} series")
    if not found.get("complete"):
        console().print("[yellow]not all of it was tried[/]: a narrower scope or a later --since is tried whole")
    if alarms := found.get("alarms"):
        rows = [(one["raiseTime"][:19].replace("T", " "), one["message"]) for one in alarms]
        console().print(table("The latest", ("raised (UTC)", "what"), rows))


def _without_condition(rule: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A stored rule, to be sent again; without its condition where another one is given."""
    kept = {name: value for name, value in rule.items() if name not in _OUTPUT_ONLY}
    if any(name in _CONDITIONS for name in changes):
        kept = {name: value for name, value in kept.items() if name not in _CONDITIONS}
    return kept


@app.command()
def enable(id_: Id, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Enable a rule: it is judged at once."""
    _switch(id_, state_dir, disabled=False, json=json)


@app.command()
def disable(id_: Id, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Disable a rule: it raises nothing, and its open alarms are cleared."""
    _switch(id_, state_dir, disabled=True, json=json)


def _switch(id_: str, state_dir: Path | None, *, disabled: bool, json: bool) -> None:
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        made: dict[str, Any] = answer(
            client.patch(_path(id_), json={"disabled": disabled}, params={"updateMask": "disabled"})
        )
    _show("disabled" if disabled else "enabled", made, json=json)


def _path(id_: str) -> str:
    return f"/v1/alarmRules/{quote(id_, safe='')}"


def _show(what: str, made: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(made)
        return
    console().print(f"[green]{what}[/] {made['id']}: {scope_text(made)} {condition_text(made)}", markup=True)
    if not made.get("disabled") and not made.get("matchingSeries"):
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


@app.command()
def remove(id_: Annotated[str, typer.Argument(metavar="ID")], state_dir: StateDirOption = None) -> None:
    """Remove a rule; its open alarms are cleared."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alarms:write"]) as client:
        answer(client.delete(_path(id_)))
    console().print("[green]removed[/]")
