"""`tocsin readings list|conflicts|void|replace`: stored readings, and what people make of them."""

from typing import Annotated, Any

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

TypeArgument = Annotated[str, typer.Argument(help="Sensor type.")]
AtOption = Annotated[str, typer.Option(help="Event time of the reading, RFC 3339.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept and listed with the reading.")]
DeviceOption = Annotated[str, typer.Option(help="Device that measured it; without one by default.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `tocsin readings`."""
    app.command("list")(list_)
    app.command()(conflicts)
    app.command()(void)
    # So that -300 is a value and no option.
    app.command(context_settings={"ignore_unknown_options": True})(replace)


def list_(
    building: BuildingArgument,
    room: RoomArgument,
    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type.")] = "temperature",
    device: OneDeviceOption = "",
    start: FromOption = "",
    end: ToOption = "",
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Instead of newest first.")] = False,
    limit: LimitOption = 24,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List raw readings, and which of them were voided or replaced, by whom and why."""
    wanted: dict[str, str | int] = {"sensorType": sensor_type, "pageSize": limit, "device": device, "from": start}
    wanted |= {"to": end, "oldestFirst": "true" if oldest_first else ""}
    page = room_page(_path(building, room), wanted, state_dir)
    readings: list[dict[str, Any]] = page.get("readings", [])
    if json:
        print_json(readings)
        return
    if not readings:
        console().print(f"no readings of {sensor_type} in {building}/{room}", markup=False)
        return
    rows = [
        (one["eventTime"], one.get("device", ""), f"{one.get('value', 0):.15g}", _what(one.get("amendment")))
        for one in readings
    ]
    title = f"{building}/{room} {sensor_type}, in {page.get('unit', '')}"
    console().print(table(title, ("event time (UTC)", "device", "value>", "amended"), rows))
    if page.get("nextPageToken"):
        console().print("[dim]and more; --limit, --from and --to choose[/]")


def conflicts(
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
    """List event times that were sent another value, newest first, and which value counts."""
    wanted: dict[str, str | int] = {"sensorType": sensor_type, "device": device, "from": start, "to": end}
    page = room_page(f"{room_path(building, room)}/readingConflicts", wanted | {"pageSize": limit}, state_dir)
    found: list[dict[str, Any]] = page.get("conflicts", [])
    if json:
        print_json(found)
        return
    if not found:
        console().print(f"no conflicts in {building}/{room}", markup=False)
        return
    rows = [
        (
            one["eventTime"],
            one["series"]["sensorType"],
            one["series"].get("device", ""),
            f"{one.get('countingValue', 0):.15g}",
            f"{one.get('value', 0):.15g}",
            one["series"].get("unit", ""),
            f"{one['outcome'].lower()}, {int(one.get('count', 1)):,} x",
        )
        for one in found
    ]
    columns = ("event time (UTC)", "type", "device", "counts>", "does not>", "unit", "the other")
    console().print(table(f"{building}/{room}", columns, rows))
    if page.get("nextPageToken"):
        console().print("[dim]and more; --limit, --from and --to choose[/]")


def void(
    building: BuildingArgument,
    room: RoomArgument,
    sensor_type: TypeArgument,
    reason: ReasonOption,
    at: Annotated[str, typer.Option(help="Event time of the reading, RFC 3339.")] = "",
    start: Annotated[str, typer.Option("--from", help="Or all from this event time on, RFC 3339, ...")] = "",
    end: Annotated[str, typer.Option("--to", help="... up to this one, exclusive.")] = "",
    device: DeviceOption = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Take wrong readings out of windows, averages and consumption. They stay listed as raw readings."""
    if bool(at) == bool(start and end) or bool(start) != bool(end):
        raise CommandError("say which readings: --at, or --from and --to", exit_code=2)
    series = {"sensorType": sensor_type, "device": device, "reason": reason}
    if at:
        found = _amend(building, room, "void", series | {"eventTime": at}, state_dir)
        _show(building, room, sensor_type, found, json=json)
        return
    found = _amend(building, room, "voidRange", series | {"from": start, "to": end}, state_dir)
    if json:
        print_json(found)
        return
    readings, changed, windows = (int(found.get(name, 0)) for name in ("readings", "changed", "windows"))
    console().print(
        f"{building}/{room} {sensor_type} from {start} to {end}: {changed:,} of {readings:,} readings voided; "
        f"{windows:,} windows changed",
        markup=False,
        soft_wrap=True,
    )


def replace(
    building: BuildingArgument,
    room: RoomArgument,
    sensor_type: TypeArgument,
    value: Annotated[float, typer.Argument(callback=finite, help="The value that counts.")],
    at: AtOption,
    reason: ReasonOption,
    device: DeviceOption = "",
    unit: Annotated[str, typer.Option(help="Unit of the value; the series' own by default.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Have another value count in place of a wrong one, also of one that was voided."""
    body = {"sensorType": sensor_type, "device": device, "eventTime": at, "reason": reason, "value": value}
    found = _amend(building, room, "replace", body | ({"unit": unit} if unit else {}), state_dir)
    _show(building, room, sensor_type, found, json=json)


def _amend(building: str, room: str, verb: str, body: dict[str, Any], state_dir: Any) -> dict[str, Any]:
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["windows:admin"], timeout=_PATIENCE_SECONDS) as client:
        response = client.post(f"{_path(building, room)}:{verb}", json=body)
    if response.status_code == _STILL_WORKING:
        raise CommandError(
            "it takes longer than a request may last; the work goes on, and revised windows are announced"
        )
    found: dict[str, Any] = answer(response)
    return found


def _show(building: str, room: str, sensor_type: str, found: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(found)
        return
    reading = found["reading"]
    what = _what(reading.get("amendment")) or "as it came"
    changed = f"{int(found.get('windows', 0)):,} windows changed" if found.get("changed") else "nothing to change"
    console().print(
        f"{building}/{room} {sensor_type} of {reading['eventTime']}, {reading.get('value', 0):.15g}: {what}; {changed}",
        markup=False,
        soft_wrap=True,
    )


def _what(amendment: dict[str, Any] | None) -> str:
    if not amendment:
        return ""
    author = amendment.get("author")
    by = f" by {author}" if author else ""
    return (
        f"{amendment['kind'].lower()}{by}, {amendment.get('createTime', '')[:19]}: "
        f"{amendment.get('reason', '')} (came as {amendment.get('originalValue', 0):.15g})"
    )


def _path(building: str, room: str) -> str:
    return f"{room_path(building, room)}/readings"
