"""`tocsin windows`: stored windows of a room."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.known_series import refuse_unknown
from services.cli.options import StateDirOption, span
from services.cli.output import JsonOption, console, fields, in_larger_units, number, print_json, table

_PATIENCE_SECONDS = 3600.0
_STILL_WORKING = 504

app = typer.Typer(help="List windows of a room, and recompute them from raw readings.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="windows")


@app.command("list")
def list_(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id.")],
    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type.")] = "temperature",
    device: Annotated[str, typer.Option(help="Only this device.")] = "",
    step: Annotated[str, typer.Option(help="Length of the windows: 5s, 1m, 15m, 1h or 1d.")] = "15m",
    start: Annotated[str, typer.Option("--from", help="Earliest start, RFC 3339.")] = "",
    end: Annotated[str, typer.Option("--to", help="Latest start, RFC 3339, exclusive.")] = "",
    oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Instead of newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 24,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List windows, newest first."""
    from services.cli.client import answer, open_mesh

    query: dict[str, str | int] = {"sensorType": sensor_type, "step": span(step, "--step"), "pageSize": limit}
    optional = {"device": device, "from": start, "to": end, "oldestFirst": "true" if oldest_first else ""}
    query |= {name: text for name, text in optional.items() if text}
    with open_mesh(state_dir).http(scopes=["readings:read", "catalogue:read"]) as client:
        page: dict[str, Any] = answer(client.get(_path(building, room), params=query))
        windows: list[dict[str, Any]] = page.get("windows", [])
        if not windows:
            refuse_unknown(client, building, room, sensor_type)
    if json:
        print_json(windows)
    elif not windows:
        console().print(f"[yellow]no windows[/] of {sensor_type} in {building}/{room}")
    else:
        _show(f"{building}/{room} {sensor_type}", windows)
        if page.get("nextPageToken"):
            console().print("[dim]and more; --limit, --from and --to choose[/]")


@app.command()
def recompute(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id.")],
    sensor_type: Annotated[
        str, typer.Option("--type", "--sensor-type", help="Only this sensor type; all by default.")
    ] = "",
    device: Annotated[str, typer.Option(help="Only this device; all by default.")] = "",
    from_: Annotated[str, typer.Option("--from", help="Start, RFC 3339; the first reading by default.")] = "",
    to: Annotated[str, typer.Option(help="End, RFC 3339; now by default.")] = "",
    include_too_late: Annotated[
        bool, typer.Option("--include-too-late", help="Count readings too that came after the lateness.")
    ] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Fold the windows of a room anew from its raw readings, under the rules of today.

    Changed counter rules and expected intervals hold at once, also for meters that send no more.
    """
    from services.cli.client import answer, open_mesh

    body: dict[str, Any] = {"includeTooLate": include_too_late}
    body |= {"sensorType": sensor_type, "device": device}
    body |= ({"from": from_} if from_ else {}) | ({"to": to} if to else {})
    with open_mesh(state_dir).http(scopes=["windows:admin"], timeout=_PATIENCE_SECONDS) as client:
        response = client.post(f"{_path(building, room)}:recompute", json=body)
    if response.status_code == _STILL_WORKING:
        raise CommandError(
            "it takes longer than a request may last; the work goes on, and revised windows are announced"
        )
    found: dict[str, Any] = answer(response)
    if json:
        print_json(found)
        return
    if not int(found.get("series", 0)):
        wanted = " ".join([sensor_type or "any sensor type", *([f"of {device}"] if device else [])])
        console().print(
            f"nothing to recompute: no series of {wanted} in {building}/{room} has sent a reading", markup=False
        )
        return
    console().print(
        fields(
            f"{building}/{room} recomputed",
            {
                "series": f"{int(found.get('series', 0)):,}",
                "settled readings": f"{int(found.get('readings', 0)):,}",
                "windows": f"{int(found.get('windows', 0)):,}",
                "changed": f"{int(found.get('changed', 0)):,}",
            },
        )
    )


def _path(building: str, room: str) -> str:
    return f"/v1/buildings/{quote(building, safe='')}/rooms/{quote(room, safe='')}/windows"


def _show(name: str, windows: list[dict[str, Any]]) -> None:
    """A line a window; the device where there are several."""
    several = len({window["series"].get("device", "") for window in windows}) > 1
    counter = any(window["statistics"].get("consumption") is not None for window in windows)
    rows: list[tuple[object, ...]] = []
    around = False
    for window in windows:
        statistics = window["statistics"]
        holds = int(statistics.get("count", 0)) > 0
        around |= not holds
        mean = statistics.get("mean" if holds else "timeWeightedMean")
        rows.append(
            (
                window["start"][:19].replace("T", " "),
                *([window["series"].get("device", "")] if several else []),
                number(statistics.get("consumption") if counter else mean),
                number(statistics.get("min")),
                number(statistics.get("max")),
                statistics.get("count", 0),
                f"{statistics.get('coveredRatio', 0):.0%}",
                "open" if window.get("provisional") else window.get("revision") or None,
            )
        )
    figure = "used>" if counter else "mean>"
    columns = ("start (UTC)", *(["device"] if several else []), figure, "min>", "max>", "n>", "covered>", "rev>")
    unit = windows[0]["series"].get("unit", "")
    console().print(table(f"{name}, {in_larger_units(windows[0]['step'])} windows, in {unit}", columns, rows))
    if around:
        what = "" if counter else "; the mean is the time-weighted one"
        console().print(f"[dim]n 0: no reading inside, known from those around it{what}[/]")
