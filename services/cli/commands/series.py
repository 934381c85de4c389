"""`tocsin series`: what has ever been sent from a building."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, print_json, table


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(series)


def series(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id; all rooms without it.")] = "",
    sensor_type: Annotated[str, typer.Option("--type", help="Only this sensor type.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 200,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List what has ever been sent from a building: rooms, sensor types and devices."""
    from services.cli.client import answer, open_mesh

    query = {"room": room, "sensorType": sensor_type, "pageSize": str(limit)}
    with open_mesh(state_dir).http(scopes=["readings:read"]) as client:
        page: dict[str, Any] = answer(client.get(f"/v1/buildings/{quote(building, safe='')}/series", params=query))
    found: list[dict[str, str]] = page.get("series", [])
    if json:
        print_json(found)
        return
    if not found:
        wanted = " ".join([sensor_type or "a reading", "from", *([f"room {room} of"] if room else [])])
        raise CommandError(f"no device has ever sent {wanted} building {building}")
    rows = [(one["room"], one["sensorType"], one.get("device", ""), one.get("unit", "")) for one in found]
    console().print(table(f"Series of {building}", ("room", "type", "device", "unit"), rows))
    if page.get("nextPageToken"):
        console().print(f"[dim]and more; --limit shows more than {len(found)}[/]")
