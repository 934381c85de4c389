"""`tocsin status`: how a running mesh is."""

import asyncio
import dataclasses
import json as json_module
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption

if TYPE_CHECKING:
    from rich.table import Table

    from services.cli.client import MeshClient
    from services.cli.runtime.lag import StreamLag
    from services.cli.runtime.own_servers import ServerReport
    from services.cli.runtime.status import PartReport

_UNBOUNDED_WIDTH = 240
_ANSWER_BUDGET = timedelta(seconds=5)
_LOOPBACK = re.compile(r"^(127\.0\.0\.1|\[::1\]|localhost)(?=:)")
_COLOURS = {"healthy": "green", "starting": "cyan", "waiting": "bright_black", "stopped": "bright_black"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(status)


def status(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="Show what was lost of streams a last time; runtime.log keeps it.")
    ] = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show the parts of a running mesh, its streams and what waits in them.

    Servers of yours are asked on the spot. Exit code: 0 when all is healthy, 1 when something is not, 3 when no mesh is
    up.
    """
    from services.cli.client import open_embedded
    from services.cli.runtime.control import ask
    from services.cli.runtime.lag import read_lag
    from services.cli.runtime.nats_accounts import CLI_USER, SYSTEM_USER
    from services.cli.runtime.nats_monitor import NatsSilent
    from services.cli.runtime.own_servers import look_at_servers
    from services.cli.runtime.prometheus import RUNTIME, read_targets
    from services.cli.runtime.requests import ACKNOWLEDGE
    from services.cli.runtime.status import read_report
    from services.cli.runtime.stream_memory import read_losses

    mesh = open_embedded(state_dir)
    report = read_report(mesh.state)
    parts = report.parts
    metrics = read_targets(mesh.state)
    streams: list[StreamLag] = []
    silent = ""
    if mesh.instance.nats_url and not mesh.instance.external_nats:
        try:
            streams = asyncio.run(read_lag(mesh.instance.nats_url, mesh.state.secret(f"nats.{SYSTEM_USER}")))
        except NatsSilent as silence:
            silent = f"the streams cannot be told: {silence}"
    elif mesh.instance.nats_url:
        try:
            streams = asyncio.run(_lag_of_own_server(mesh))
        except CommandError as silence:
            silent = f"the streams cannot be told: {silence.message}"
    losses = read_losses(mesh.state)
    if acknowledge and losses:
        ask(mesh.state, ACKNOWLEDGE, within=_ANSWER_BUDGET, until=repr(losses[-1].at))
    login = mesh.nats_login(CLI_USER) if mesh.instance.external_nats else None
    servers = asyncio.run(look_at_servers(mesh.instance, login))
    healthy = bool(parts) and all(one.healthy for one in (*parts, *servers))
    if json:
        content = {
            "version": mesh.instance.version,
            "healthy": healthy,
            "machine": report.machine,
            "supervisor": {
                "pid": mesh.instance.supervisor_pid,
                "stateDir": str(mesh.state.root),
                "metrics": metrics.get(RUNTIME, ""),
            },
            "edge": mesh.instance.edge_url,
            "parts": [_camel({**dataclasses.asdict(part), "metrics": metrics.get(part.name, "")}) for part in parts],
            "servers": [_camel(dataclasses.asdict(server)) for server in servers],
            "streams": [_camel(dataclasses.asdict(stream)) for stream in streams],
            "streamLosses": [_camel(dataclasses.asdict(loss)) for loss in losses],
        }
        print(json_module.dumps(content, indent=2))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        if not console.is_terminal:
            # Nothing to fit into: whoever reads the output wants whole names.
            console.width = _UNBOUNDED_WIDTH
        console.print(f"\n[bold]Tocsin[/bold] {mesh.instance.version}  [cyan]{mesh.instance.edge_url}[/cyan]\n")
        console.print(parts_table(parts, servers, metrics))
        for line in trouble(parts, servers):
            console.print(line, style="yellow", markup=False, soft_wrap=True)
        console.print(f"metrics of the runtime: {metrics.get(RUNTIME, '')}", style="bright_black")
        if streams:
            console.print()
            console.print(streams_table(streams))
            console.print()
        for loss in losses:
            seen = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(loss.at))
            console.print(f"{seen}  stream {loss.stream} {loss.what}", style="yellow", soft_wrap=True)
        if losses and not acknowledge:
            hint = f"'{mesh.state.command('status')} --acknowledge' shows it a last time"
            console.print(hint, style="bright_black", soft_wrap=True)
        if report.machine:
            console.print(f"the machine is taken to be at fault: {report.machine}", style="yellow", soft_wrap=True)
        if silent:
            console.print(silent, style="yellow", soft_wrap=True)
    if not healthy:
        raise typer.Exit(1)


def _camel(value: object) -> object:
    if isinstance(value, dict):
        return {_camel_name(str(name)): _camel(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - plain data
    if isinstance(value, (list, tuple)):
        return [_camel(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - plain data
    return value


def _camel_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


async def _lag_of_own_server(mesh: "MeshClient") -> "list[StreamLag]":
    import nats.errors

    from services.cli.runtime.lag import read_lag_by_client

    async with mesh.nats() as client:
        try:
            return await read_lag_by_client(client, mesh.names)
        except nats.errors.Error as error:
            raise CommandError(f"NATS at {mesh.instance.nats_url} does not answer: {error!r}") from error


def parts_table(parts: "list[PartReport]", servers: "list[ServerReport]", metrics: dict[str, str]) -> "Table":
    """The parts, a line each."""
    from rich.table import Table
    from rich.text import Text

    # One space between, so that all stands in the 80 columns of a terminal.
    table = Table(box=None, pad_edge=False)
    for name in ("part", "state", "pid", "up", "restarts", "address", "metrics", "version"):
        folds = name in ("address", "version")
        justify = "right" if name in ("pid", "up", "restarts") else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=not folds, min_width=7 if folds else None)
    for part in parts:
        colour = _COLOURS.get(part.state, "red")
        state = Text(part.state, colour)
        up = "" if part.uptime_seconds is None else show_duration(part.uptime_seconds)
        pid = "" if part.pid is None else str(part.pid)
        address, measured = _short(part.address), _short(metrics.get(part.name, ""))
        table.add_row(part.name, state, pid, up, str(part.restarts), address, measured, part.version)
    for server in servers:
        state = Text("healthy", "green") if server.healthy else Text("unhealthy", "red")
        table.add_row(server.name, state, "yours", "", "", _short(server.address), "", server.version)
    return table


def _short(address: str) -> str:
    """`:4222` for a port of loopback, so that a terminal has room for the whole line."""
    return _LOOPBACK.sub("", address)


def trouble(parts: "list[PartReport]", servers: "list[ServerReport]") -> list[str]:
    """Why parts are not healthy and for how long, and what the operator can do about it; a line each."""
    lines: list[str] = []
    for part in parts:
        if part.unhealthy_seconds is not None or part.reason:
            since = "" if part.unhealthy_seconds is None else f" for {show_duration(part.unhealthy_seconds)}"
            lines.append(f"{part.name}: {part.state}{since}{': ' if part.reason else ''}{part.reason}")
        if part.advice:
            lines.append(f"{part.name}: {part.advice}")
    return lines + [f"{server.name}: {server.reason}" for server in servers if server.reason]


def streams_table(streams: "list[StreamLag]") -> "Table":
    """The streams, each with those who read it below."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("stream, consumers", overflow="fold")
    for name in ("messages", "bytes", "waiting", "in work", "retried"):
        table.add_column(name, justify="right", no_wrap=True)
    for stream in streams:
        table.add_row(stream.name, f"{stream.messages:,}", f"{stream.bytes:,}", "", "", "")
        for consumer in stream.consumers:
            counts = (consumer.pending, consumer.unacknowledged, consumer.redelivered)
            table.add_row(f"  {consumer.name}", "", "", *(f"{count:,}" for count in counts))
    return table


def show_duration(seconds: float) -> str:
    """`8 s`, `3 min`, `2 h 5 min`, `4 d 1 h`: the two largest units that matter."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"
