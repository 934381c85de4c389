"""`tocsin average`: the most recent average of a room, or of a building and its rooms."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from services.cli.known_series import refuse_unknown
from services.cli.options import StateDirOption, span
from services.cli.output import JsonOption, console, fields, number, print_json, table
from services.cli.sparkline import sparkline

if TYPE_CHECKING:
    import httpx


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(average)


def average(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id; without it, the building and each of its rooms.")] = "",
    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type.")] = "temperature",
    window: Annotated[str, typer.Option(help="Length of the span, for example 15m or 1h.")] = "15m",
    at: Annotated[str, typer.Option(help="End of the span, RFC 3339; now by default.")] = "",
    unit: Annotated[str, typer.Option(help="Unit of the answer, like C; that of the values by default.")] = "",
    recent: Annotated[int, typer.Option(min=0, max=60, help="How many spans the line of the past shows.")] = 24,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many rooms at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show the average of a room or a building over the most recent span of time, and how it came there."""
    from services.cli.client import answer, open_mesh

    whole = f"/v1/buildings/{quote(building, safe='')}"
    path = f"{whole}/rooms/{quote(room, safe='')}/average" if room else f"{whole}/average"
    query = {"sensorType": sensor_type, "window": span(window, "--window")} | ({"at": at} if at else {})
    query |= {"unit": unit} if unit else {}
    with open_mesh(state_dir).http(scopes=["readings:read", "catalogue:read"]) as client:
        result: dict[str, Any] = answer(client.get(path, params=query))
        past = _past(client, path, query, result, recent)
        known = any(value is not None for _, value in past) or result.get("devicesWithoutData")
        if result["state"] == "NO_DATA" and not known:
            refuse_unknown(client, building, room, result["sensorType"])
        rooms: dict[str, Any] = {}
        if not room:
            asked = query | {"at": result["end"], "pageSize": str(limit)}
            rooms = answer(client.get(f"{whole}/roomAverages", params=asked))
    if json:
        more = {} if room else {"roomAverages": rooms.get("averages", [])}
        print_json(result | {"recent": [{"end": end, "value": value} for end, value in past]} | more)
        return
    _show(f"{building}/{room}" if room else building, result, [value for _, value in past])
    if rooms.get("averages"):
        _show_rooms(rooms)


def _past(
    client: "httpx.Client", path: str, query: Mapping[str, str], last: Mapping[str, Any], count: int
) -> list[tuple[str, float | None]]:
    """End and value of as many spans of the same length, up to the last one, oldest first."""
    from services.cli.client import answer

    start, end = (datetime.fromisoformat(last[name]) for name in ("start", "end"))
    found: list[tuple[str, float | None]] = []
    for back in range(count - 1, 0, -1):
        at = (end - back * (end - start)).isoformat().replace("+00:00", "Z")
        if datetime.fromisoformat(at).timestamp() < (end - start).total_seconds():
            continue  # before 1970
        found.append((at, _value(answer(client.get(path, params={**query, "at": at})))))
    return [*found, (last["end"], _value(last))] if count else []


def _value(result: Mapping[str, Any]) -> float | None:
    """What people mean by the average: of a counter, its consumption; where no reading is, the interpolated mean."""
    statistics = result.get("statistics", {})
    for name in ("consumption", "mean", "timeWeightedMean"):
        if statistics.get(name) is not None:
            return float(statistics[name])
    return None


def _show(name: str, result: Mapping[str, Any], past: list[float | None]) -> None:
    sensor_type, unit = result["sensorType"], result.get("unit", "")
    line = _line(past, unit, result)
    silent = f", {result['devicesWithoutData']} silent" if result.get("devicesWithoutData") else ""
    if result["state"] == "NO_DATA":
        asked = f"{sensor_type} in {name} ({result['start']} to {result['end']})"
        console().print(f"[yellow]no data[/] for {asked}{silent}")
        if any(value is not None for value in past):
            console().print(fields(f"{name} {sensor_type}", {"recently": line}))
        else:
            console().print("[dim]A longer --window, or an earlier end by --at, may hold some.[/]")
        return
    statistics = result["statistics"]
    received, consumption = statistics.get("receivedRatio"), statistics.get("consumption")
    devices = f"{int(statistics.get('count', 0)):,} of {result.get('devices', 0)} device(s)"
    if "rooms" in result:
        devices += f" in {result.get('roomsWithData', 0)} of {result['rooms']} room(s)"
    console().print(
        fields(
            f"{name} {sensor_type}",
            {
                "mean": f"{number(statistics.get('mean'))} {unit}",
                "time-weighted mean": _with_unit(statistics.get("timeWeightedMean"), unit),
                "min .. max": f"{number(statistics.get('min'))} .. {number(statistics.get('max'))} {unit}",
                "readings": devices + silent,
                "received / expected": None if received is None else f"{received:.1%}",
                "covered time": f"{statistics.get('coveredRatio', 0):.1%}",
                "consumption": None if consumption is None else f"{number(consumption)} {unit}",
                "span": f"{result['start']} to {result['end']}"
                + (" (provisional)" if result.get("provisional") else ""),
                "recently": line,
            },
        )
    )


def _with_unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{number(value)} {unit}"


def _line(past: list[float | None], unit: str, result: Mapping[str, Any]) -> str | None:
    """The past as a line of blocks between its least and greatest value."""
    known = [value for value in past if value is not None]
    if len(past) < 2 or not known:
        return None
    start, end = (datetime.fromisoformat(result[name]) for name in ("start", "end"))
    line = f"{sparkline(past)}  {number(min(known))} .. {number(max(known))} {unit}"
    return f"{line}\n{len(past)} x {_length(int((end - start).total_seconds()))}, the last one is this"


def _length(seconds: int) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"


def _show_rooms(rooms: Mapping[str, Any]) -> None:
    averages: list[dict[str, Any]] = rooms["averages"]
    counter = any(one.get("statistics", {}).get("consumption") is not None for one in averages)
    rows: list[tuple[object, ...]] = []
    for one in averages:
        statistics = one.get("statistics", {})
        known = one["state"] != "NO_DATA"
        rows.append(
            (
                one["room"],
                number(_value(one)) if known else "no data",
                one.get("unit", ""),
                number(statistics.get("min")) if known else "",
                number(statistics.get("max")) if known else "",
                f"{int(statistics.get('count', 0)):,}" if known else "",
                f"{statistics.get('coveredRatio', 0):.0%}" if known else "",
            )
        )
    columns = ("room", "used>" if counter else "mean>", "unit", "min>", "max>", "readings>", "covered>")
    console().print()
    console().print(table("Rooms", columns, rows))
    if rooms.get("nextPageToken"):
        console().print(f"[dim]and more; --limit shows more than {len(averages)}[/]")
