"""`tocsin handlers`: what the handlers of all services have processed, and what went wrong."""

from typing import Annotated, Any

import typer

from services.cli.options import StateDirOption, service_name
from services.cli.output import JsonOption, console, print_json, table


def register(root: typer.Typer) -> None:
    """Adds the command."""
    root.command()(handlers)


def handlers(
    service: Annotated[str, typer.Option(help="Only of this service.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show what each handler has processed and failed at since its processes began, and how long it takes."""
    from services.cli.client import answer, open_mesh

    query = {"service": service_name(service)}
    with open_mesh(state_dir).http(scopes=["operations:read"]) as client:
        found: dict[str, Any] = answer(client.get("/v1/operations/handlers", params=query))
    if json:
        print_json(found)
        return
    columns = ("handler", "processed>", "failed>", "mean>", "p95>", "last error")
    rows = [
        (
            one["handler"],
            one.get("processed", 0),
            one.get("failed", 0),
            _milliseconds(one["meanTime"]),
            _milliseconds(one["p95Time"]),
            _last_error(one),
        )
        for one in found["handlers"]
    ]
    console().print(table(f"Handlers of {len(found['processes'])} processes", columns, rows))


def _milliseconds(duration: str) -> str:
    """`0.0124s` as `12.4 ms`."""
    return f"{float(duration.removesuffix('s')) * 1000:,.1f} ms"


def _last_error(one: dict[str, Any]) -> str:
    if not one.get("lastError"):
        return ""
    return f"{one['lastErrorTime'][:19].replace('T', ' ')} {one['lastError']}"
