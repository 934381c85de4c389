"""`tocsin corrections`: readings of meters that were not taken at their word, and what people decide about them."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, finite
from services.cli.output import JsonOption, console, print_json, table
from services.cli.room_lists import (
    BuildingArgument,
    FromOption,
    LimitOption,
    OneDeviceOption,
    RoomArgument,
    ToOption,
    TypeOption,
    room_page,
    room_path,
)

_PATIENCE_SECONDS = 600.0
_STILL_WORKING = 504
_DECISIONS = ("GLITCH", "RESET", "IGNORE", "VALUE")

app = typer.Typer(help="List corrections of meters, and decide about them.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="corrections")


@app.command("list")
def list_(
    building: BuildingArgument,
    room: RoomArgument,
    sensor_type: TypeOption = "",
    device: OneDeviceOption = "",
    start: FromOption = "",
    end: ToOption = "",
    limit: LimitOption = 24,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List corrections, newest first, with what people have decided."""
    wanted: dict[str, str | int] = {"sensorType": sensor_type, "device": device, "from": start, "to": end}
    page = room_page(_path(building, room), wanted | {"pageSize": limit}, state_dir)
    found: list[dict[str, Any]] = page.get("corrections", [])
    if json:
        print_json(found)
    elif not found:
        console().print(f"no corrections in {building}/{room}", markup=False)
    else:
        rows = [
            (
                one["id"],
                one["eventTime"][:19].replace("T", " "),
                one["series"]["sensorType"],
                one["series"].get("device", ""),
                f"{one.get('value', 0):,.15g}",
                f"{one.get('level', 0):,.15g}",
                one["series"].get("unit", ""),
                one["kind"],
                _run(one),
                _doubt(one),
                _decided(one),
            )
            for one in found
        ]
        columns = (
            *("id", "event time (UTC)", "type", "device", "value>", "after>", "unit"),
            *("kind", "readings", "in doubt", "decided"),
        )
        console().print(table(f"{building}/{room}", columns, rows))


@app.command(context_settings={"ignore_unknown_options": True})
def decide(
    building: BuildingArgument,
    room: RoomArgument,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the correction, as `list` has it.")],
    decision: Annotated[str, typer.Argument(help="GLITCH, RESET, IGNORE, or VALUE.")],
    reason: Annotated[str, typer.Option(help="Why; kept and listed with the correction.")],
    value: Annotated[float | None, typer.Option(callback=finite, help="With VALUE: what the meter had shown.")] = None,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Have your word stand in place of what was made of a reading; windows follow, for ever."""
    from services.cli.client import answer, open_mesh

    if decision.upper() not in _DECISIONS:
        raise CommandError(f"the decision must be one of {', '.join(_DECISIONS)}", exit_code=2)
    body: dict[str, Any] = {"decision": decision.upper(), "reason": reason}
    body |= {} if value is None else {"value": value}
    with open_mesh(state_dir).http(scopes=["windows:admin"], timeout=_PATIENCE_SECONDS) as client:
        response = client.post(f"{_path(building, room)}/{quote(id_, safe='')}:decide", json=body)
    if response.status_code == _STILL_WORKING:
        raise CommandError(
            "it takes longer than a request may last; the work goes on, and revised windows are announced"
        )
    found: dict[str, Any] = answer(response)
    if json:
        print_json(found)
        return
    one = found["correction"]
    changed = f"{int(found.get('windows', 0)):,} windows changed" if found.get("changed") else "nothing to change"
    console().print(
        f"{building}/{room} {one['kind']} of {one['eventTime']}: {_decided(one)}; {changed}",
        markup=False,
        soft_wrap=True,
    )


def _run(correction: dict[str, Any]) -> str:
    """How many in a row, and until when."""
    count = int(correction.get("readings", 1))
    return f"{count:,} to {correction['lastEventTime'][:19].replace('T', ' ')}" if count > 1 else ""


def _doubt(correction: dict[str, Any]) -> str:
    """Both readings of a case that nothing decides."""
    doubt = correction.get("doubt")
    return f"booked {doubt.get('booked', 0):,.15g}, or {doubt.get('otherwise', 0):,.15g}" if doubt else ""


def _decided(correction: dict[str, Any]) -> str:
    decision = correction.get("decision")
    if not decision:
        return ""
    value = f" {decision.get('value', 0):.15g}" if decision["kind"] == "VALUE" else ""
    withdrawn = " (withdrawn: the reading was replaced)" if decision.get("withdrawn") else ""
    return f"{decision['kind']}{value} by {decision.get('author', '')}: {decision.get('reason', '')}{withdrawn}"


def _path(building: str, room: str) -> str:
    return f"{room_path(building, room)}/corrections"
