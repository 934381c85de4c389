"""What lists of a room have in common: the choices of their commands, and the question."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

BuildingArgument = Annotated[str, typer.Argument(help="Building id.")]
RoomArgument = Annotated[str, typer.Argument(help="Room id.")]
TypeOption = Annotated[str, typer.Option("--type", help="Only this sensor type.")]
OneDeviceOption = Annotated[str, typer.Option("--device", help="Only this device.")]
FromOption = Annotated[str, typer.Option("--from", help="Earliest event time, RFC 3339.")]
ToOption = Annotated[str, typer.Option("--to", help="Latest event time, RFC 3339, exclusive.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


def room_path(building: str, room: str) -> str:
    """Where a room is, whatever its ids have in them."""
    return f"/v1/buildings/{quote(building, safe='')}/rooms/{quote(room, safe='')}"


def room_page(path: str, wanted: dict[str, str | int], state_dir: Path | None) -> dict[str, Any]:
    """One page of a list of a room; what is wanted and empty is not asked for. Raises CommandError."""
    from services.cli.client import answer, open_mesh

    query = {name: value for name, value in wanted.items() if value}
    with open_mesh(state_dir).http(scopes=["readings:read"]) as client:
        page: dict[str, Any] = answer(client.get(path, params=query))
    return page
