"""`tocsin payload`: what an adapter makes of a vendor's payload."""

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, print_json, table

app = typer.Typer(help="Try vendors' payloads.", no_args_is_help=True)
_STDIN = "-"


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="payload")


@app.callback()
def _group() -> None:
    """Keeps `test` a command of its own, though it is the only one."""


@app.command("test")
def try_payload(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="Format, for example `ep1`.")],
    file: Annotated[
        str, typer.Argument(help="A captured payload, or one on each line (NDJSON); - for standard input.")
    ],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show what would become of a captured payload; nothing is stored. Exit code 1 when one is not understood."""
    from services.cli.client import answer, open_mesh

    payloads = split_payloads(_read(file))
    path = f"/v1/devices/{quote(format_name, safe='')}/payloads:test"
    with open_mesh(state_dir).http(scopes=["readings:read"]) as client:
        headers = {"content-type": "application/json"}
        results: list[dict[str, Any]] = [
            {"line": line, **answer(client.post(path, content=payload, headers=headers))} for line, payload in payloads
        ]
    refused = sum(bool(result.get("errors")) for result in results)
    if json:
        print_json(results)
    else:
        _show(format_name, results)
        if len(results) > 1:
            console().print(f"{len(results) - refused} of {len(results)} payloads understood")
    if refused:
        raise typer.Exit(1)


def split_payloads(content: bytes) -> list[tuple[int, bytes]]:
    """(number of the line, payload): the whole content, or each line of it that is not empty when it is no JSON as a
    whole but lines of it are. Raises CommandError when there is none."""
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if not lines:
        raise CommandError("there is no payload in it")
    if len(lines) > 1 and not _is_json(content) and any(_is_json(line) for _, line in lines):
        return lines
    return [(lines[0][0], content)]


def _is_json(content: bytes) -> bool:
    try:
        return isinstance(json_module.loads(content), dict)
    except (ValueError, RecursionError):
        return False


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == _STDIN else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", exit_code=2) from error


def _show(format_name: str, results: list[dict[str, Any]]) -> None:
    readings = [
        (
            result["line"],
            f"{reading['building']}/{reading['room']}/{reading.get('device', '')}",
            reading["sensorType"],
            f"{reading['value']:.12g} {reading.get('unit', '')}",
            reading["eventTime"],
        )
        for result in results
        for reading in result.get("readings", [])
    ]
    errors = [
        (result["line"], error.get("field") or "(all of it)", error.get("message", ""))
        for result in results
        for error in result.get("errors", [])
    ]
    warnings = [(result["line"], warning) for result in results for warning in result.get("warnings", [])]
    out = console()
    if readings:
        out.print(
            table(f"Readings of {format_name}", ("line>", "building/room/device", "type", "value", "at"), readings)
        )
    if warnings:
        out.print(table("Remarks", ("line>", "remark"), warnings))
    if errors:
        out.print(table("Not understood", ("line>", "field", "rule"), errors))
