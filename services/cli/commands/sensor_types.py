"""`tocsin sensor-types`: what the catalogue knows of each kind of reading, and how its counters are judged."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, finite
from services.cli.output import JsonOption, console, print_json, table

_RULES = {
    "policy": "policy",
    "registerSize": "register size",
    "maxIncreasePerHour": "greatest increase in an hour",
    "roundingRatio": "rounding, part of the level",
    "roundingAmount": "rounding, amount",
}
_DEFAULT_POLICY = "HOLD_THEN_RESET (default)"

app = typer.Typer(help="Look at sensor types, and change how their counters are judged.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="sensor-types")


@app.command("list")
def list_(json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """List the sensor types of the catalogue."""
    from services.cli.client import answer, open_mesh

    found: list[dict[str, Any]] = []
    query = {"pageSize": "1000"}
    with open_mesh(state_dir).http(scopes=["catalogue:read"]) as client:
        while True:
            page: dict[str, Any] = answer(client.get("/v1/sensorTypes", params=query))
            found += page.get("sensorTypes", [])
            if not (token := page.get("nextPageToken")):
                break
            query["pageToken"] = token
    if json:
        print_json(found)
        return
    rows = [
        (
            one["id"],
            one["kind"],
            one["unit"],
            _number(one.get("minValue")),
            _number(one.get("maxValue")),
            one.get("expectedInterval", ""),
        )
        for one in found
    ]
    console().print(table("Sensor types", ("id", "kind", "unit", "from", "to", "interval"), rows))


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Sensor type, for example energy.")],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show one sensor type with the rules of its counters."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["catalogue:read"]) as client:
        found: dict[str, Any] = answer(client.get(_path(id_)))
    _print(found, json=json)


@app.command()
def change(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Sensor type, for example energy.")],
    rounding: Annotated[
        float | None,
        typer.Option(callback=finite, help="Falls of a counter up to this part of its level are rounding (0.001)."),
    ] = None,
    rounding_amount: Annotated[
        float | None,
        typer.Option(callback=finite, help="Falls of a counter up to this amount (canonical unit) are rounding."),
    ] = None,
    max_increase: Annotated[
        float | None,
        typer.Option(callback=finite, help="Steps steeper than this in an hour (canonical unit) are doubted."),
    ] = None,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Change how counters of a sensor type are judged: readings that come from now on, and recomputations."""
    from services.cli.client import answer, open_mesh

    wanted = {
        "roundingRatio": rounding,
        "roundingAmount": rounding_amount,
        "maxIncreasePerHour": max_increase,
    }
    changed = {name: value for name, value in wanted.items() if value is not None}
    if not changed:
        raise CommandError("say what to change: --rounding, --rounding-amount or --max-increase", exit_code=2)
    with open_mesh(state_dir).http(scopes=["catalogue:write"]) as client:
        known: dict[str, Any] = answer(client.get(_path(id_)))
        rules = known.get("counterRules", {}) | changed
        found: dict[str, Any] = answer(client.patch(_path(id_), json={"counterRules": rules}))
    _print(found, json=json)


def _path(id_: str) -> str:
    return f"/v1/sensorTypes/{quote(id_, safe='')}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.15g}"


def _print(found: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    # What is not set is the default; a counter is always judged by some policy.
    policy = {"policy": _DEFAULT_POLICY} if found["kind"] == "COUNTER" else {}
    rules: dict[str, Any] = policy | found.get("counterRules", {})
    rows = [
        ("kind", found["kind"]),
        ("unit", found["unit"]),
        ("values from", _number(found.get("minValue"))),
        ("values to", _number(found.get("maxValue"))),
        ("expected interval", found.get("expectedInterval", "")),
        ("second values", found.get("repeatPolicy", "")),
        *((label, _shown(rules[name])) for name, label in _RULES.items() if name in rules),
    ]
    console().print(table(found["id"], ("what", "value"), [(what, value) for what, value in rows if value]))


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else _number(value)
