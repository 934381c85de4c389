"""`tocsin windows`: stored windows of a room."""

from typing import Annotated, Any

import typer

from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json

_PATIENCE_SECONDS = 3600.0

app = typer.Typer(help="List windows of a room, and recompute them from raw readings.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="windows")


@app.command()
def recompute(
    building: Annotated[str, typer.Argument(help="Building id.")],
    room: Annotated[str, typer.Argument(help="Room id.")],
    sensor_type: Annotated[str, typer.Option("--sensor-type", help="Only this sensor type; all by default.")] = "",
    device: Annotated[str, typer.Option(help="Only this device; all by default.")] = "",
    from_: Annotated[str, typer.Option("--from", help="Start, RFC 3339; the first reading by default.")] = "",
    to: Annotated[str, typer.Option(help="End, RFC 3339; now by default.")] = "",
    include_too_late: Annotated[
        bool, typer.Option("--include-too-late", help="Count readings too that came after the lateness.")
    ] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Fold the windows of a room anew from its raw readings, under the rules of today."""
    from services.cli.client import answer, open_mesh

    body: dict[str, Any] = {"includeTooLate": include_too_late}
    body |= {"sensorType": sensor_type, "device": device}
    body |= ({"from": from_} if from_ else {}) | ({"to": to} if to else {})
    with open_mesh(state_dir).http(scopes=["windows:admin"], timeout=_PATIENCE_SECONDS) as client:
        found: dict[str, Any] = answer(
            client.post(f"/v1/buildings/{building}/rooms/{room}/windows:recompute", json=body)
        )
    if json:
        print_json(found)
        return
    console().print(
        fields(
            f"{building}/{room} recomputed",
            {
                "series": f"{int(found.get('series', 0)):,}",
                "readings": f"{int(found.get('readings', 0)):,}",
                "windows": f"{int(found.get('windows', 0)):,}",
                "changed": f"{int(found.get('changed', 0)):,}",
            },
        )
    )
