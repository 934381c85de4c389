"""`tocsin events`: follow events on NATS, decoded."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import console

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from services.cli.client import MeshClient

app = typer.Typer(help="Follow events on NATS.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="events")


@app.callback()
def _group() -> None:
    """A group stays a group with a single command in it."""


@app.command()
def tail(
    subject: Annotated[str, typer.Argument(help="Subject, with NATS wildcards, less the mesh's prefix.")] = "tocsin.>",
    downstream: Annotated[
        bool, typer.Option("--downstream", help="See only what a downstream team sees, with its credentials.")
    ] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="End after so many events; 0: never.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    state_dir: StateDirOption = None,
) -> None:
    """Print events as they are published, decoded by their contract, until Ctrl-C."""
    from services.cli.client import open_mesh

    asyncio.run(_tail(open_mesh(state_dir), subject, downstream=downstream, count=count, as_json=json))


async def _tail(mesh: "MeshClient", subject: str, *, downstream: bool, count: int, as_json: bool) -> None:
    import nats.errors

    async with mesh.nats(downstream=downstream) as connection:
        try:
            subscription = await connection.subscribe(mesh.names.subject(subject))
            await connection.flush()
        except (nats.errors.Error, ValueError) as error:
            raise CommandError(f"cannot subscribe to {subject!r}: {error}") from error
        if not as_json:
            console(stderr=True).print(f"[dim]listening on {subject}; Ctrl-C ends[/]")
        seen = 0
        async for message in subscription.messages:
            # Requests of JetStream clients and acknowledgements pass by on other subjects; events carry a type.
            if message.headers is None or "ce-type" not in message.headers:
                continue
            _print(message, mesh.names.plain_subject(message.subject), as_json=as_json)
            seen += 1
            if seen == count:
                return


def decode(event_type: str, payload: bytes) -> dict[str, Any]:
    """The JSON form of an event; `{"undecodable": <bytes>}` for a type that this version does not know."""
    from google.protobuf import symbol_database
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError

    from tocsin.events.v1 import (
        alarms_pb2,
        alerts_pb2,
        debts_pb2,
        notifications_pb2,
        readings_pb2,
        videos_pb2,
        windows_pb2,
    )

    # Importing the modules is what makes their messages known to the database.
    _ = (alarms_pb2, alerts_pb2, debts_pb2, notifications_pb2, readings_pb2, videos_pb2, windows_pb2)
    try:
        message = symbol_database.Default().GetSymbol(event_type)()
        message.ParseFromString(payload)
    except (KeyError, DecodeError):
        return {"undecodable": payload.hex()}
    return MessageToDict(message)


def _print(message: "Msg", subject: str, *, as_json: bool) -> None:
    import json

    headers = message.headers or {}
    event_type = headers["ce-type"]
    data = decode(event_type, message.data)
    if as_json:
        attributes = {name.removeprefix("ce-"): text for name, text in headers.items() if name.startswith("ce-")}
        print(json.dumps({"subject": subject, **attributes, "data": data}, ensure_ascii=False), flush=True)
        return
    from rich.text import Text

    line = Text()
    line.append(f"{headers.get('ce-time', '')} ", style="dim")
    line.append(subject, style="cyan")
    line.append(f" {json.dumps(data, ensure_ascii=False)}")
    console().print(line, soft_wrap=True)
