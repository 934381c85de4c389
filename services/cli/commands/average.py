"""`tocsin average`: the most recent average of a room."""

from typing import Annotated, Any

import typer

from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, number, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(average)


def average(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id.")],
    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type.")] = "temperature",
    window: Annotated[str, typer.Option(help="Length of the span, for example 900s.")] = "900s",
    at: Annotated[str, typer.Option(help="End of the span, RFC 3339; now by default.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show the average of a room over the most recent span of time."""
    from services.cli.client import answer, open_mesh

    query = {"sensorType": sensor_type, "window": window} | ({"at": at} if at else {})
    with open_mesh(state_dir).http(scopes=["readings:read"]) as client:
        result: dict[str, Any] = answer(client.get(f"/v1/buildings/{building}/rooms/{room}/average", params=query))
    if json:
        print_json(result)
        return
    if result["state"] == "NO_DATA":
        console().print(
            f"[yellow]no data[/] for {sensor_type} in {building}/{room} ({result['start']} to {result['end']})"
        )
        return
    statistics, unit = result["statistics"], result.get("unit", "")
    received = statistics.get("receivedRatio")
    console().print(
        fields(
            f"{building}/{room} {sensor_type}",
            {
                "mean": f"{number(statistics.get('mean'))} {unit}",
                "time-weighted mean": f"{number(statistics.get('timeWeightedMean'))} {unit}",
                "min .. max": f"{number(statistics.get('min'))} .. {number(statistics.get('max'))} {unit}",
                "readings": f"{int(statistics.get('count', 0)):,} of {result.get('devices', 0)} device(s)",
                "received / expected": None if received is None else f"{received:.1%}",
                "covered time": f"{statistics.get('coveredRatio', 0):.1%}",
                "consumption": None
                if statistics.get("consumption") is None
                else f"{number(statistics['consumption'])} {unit}",
                "span": f"{result['start']} to {result['end']}"
                + (" (provisional)" if result.get("provisional") else ""),
            },
        )
    )
