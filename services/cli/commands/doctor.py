"""`tocsin doctor`: looks at a deployment from outside."""

import asyncio
import dataclasses
import os
import sys
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, print_json, table

if TYPE_CHECKING:
    from services.cli.doctor.check import Finding

_COLOURS = {"OK": "green", "WARNING": "yellow", "FAILED": "red", "SKIPPED": "bright_black"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(doctor)


def doctor(
    edge: Annotated[
        str, typer.Option(help="Where clients reach the edge of a deployment elsewhere. [env: TOCSIN_EDGE_URL]")
    ] = "",
    edge_ca: Annotated[Path | None, typer.Option(help="Authorities (PEM) of the edge's certificate.")] = None,
    nats_monitor: Annotated[
        str, typer.Option(help="The monitoring port of a NATS server of yours (http://...:8222).")
    ] = "",
    within: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds that a check may take.")] = 8.0,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as failures.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Look at a deployment from outside, and say what to mend. Changes nothing.

    PostgreSQL, NATS, the edge, certificates, keys, tokens, clocks and disks: of the mesh that is up on the state
    directory, or of servers that the variables name as for 'tocsin up'. Exit code: 0 when nothing has failed, 1 when
    something has, 2 when a setting makes no sense.
    """
    from services.cli.client import EDGE_URL_VARIABLE
    from services.cli.doctor.check import Verdict, examine
    from services.cli.doctor.checks import all_checks
    from services.cli.doctor.deployment import read_deployment
    from services.cli.runtime.settings import read_settings
    from services.cli.runtime.state import state_dir_path

    settings = read_settings(state_dir_path(state_dir), {})
    deployment = read_deployment(
        settings,
        edge_url=(edge or settings.passed_on.get(EDGE_URL_VARIABLE, "")).rstrip("/"),
        edge_ca_file=str(edge_ca) if edge_ca else "",
        nats_monitor_url=nats_monitor,
    )
    with _quiet():
        findings = _run(examine(all_checks(deployment), timedelta(seconds=within)))
    bad = {Verdict.FAILED, *([Verdict.WARNING] if strict else [])}
    code = 1 if any(finding.verdict in bad for finding in findings) else 0
    if json:
        print_json({"healthy": code == 0, "checks": [_as_json(finding) for finding in findings]})
    else:
        _print(findings)
    if any(finding.hung for finding in findings):
        # What hangs in the system would hold up the interpreter's own end.
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


def _run(examination: "Coroutine[Any, Any, list[Finding]]") -> "list[Finding]":
    """As `asyncio.run`, but without waiting for threads that resolve names for ever."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(examination)
    finally:
        loop.close()


@contextmanager
def _quiet() -> Generator[None]:
    """What the parts' own code logs on its way is for them; here the findings tell it."""
    import structlog

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_dropped])
    try:
        yield
    finally:
        structlog.reset_defaults()


def _dropped(_logger: object, _method: str, _event: object) -> NoReturn:
    import structlog

    raise structlog.DropEvent


def _as_json(finding: "Finding") -> dict[str, object]:
    values = dataclasses.asdict(finding)
    values["lookedAt"] = values.pop("looked_at")
    return values


def _print(findings: "list[Finding]") -> None:
    from rich.text import Text

    out = console()
    rows = [
        (Text(finding.verdict, _COLOURS[finding.verdict]), finding.check, finding.looked_at, finding.seen)
        for finding in findings
    ]
    out.print(table("", ("", "check", "looked at", "seen"), rows))
    advised = [finding for finding in findings if finding.advice]
    if advised:
        out.print()
        out.print("To mend:", style="bold")
        for finding in advised:
            line = Text(f"{finding.check}: ", _COLOURS[finding.verdict]).append(finding.advice, "default")
            out.print(line, soft_wrap=True)
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in _COLOURS}
    out.print()
    out.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()), style="bright_black")
