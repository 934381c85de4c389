"""`tocsin upload`: a file of debts, with progress."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, print_json

if TYPE_CHECKING:
    import httpx

    from services.cli.debt_file_progress import DebtFileProgress
    from services.cli.resumable_upload import ResumableUpload

_CHUNK = 256 * 1024
_SHOWN_REJECTS = 10
_INTERRUPTED = 130
_AWAY = {502, 503, 504}
_LIMIT = re.compile(r"[0-9]{1,15}|[0-9]{1,3}(\.[0-9]{1,3})?%")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(upload)


def upload(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV, also packed with gzip, or xlsx, of debts.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate every row, register none.")] = False,
    reject_limit: Annotated[
        str,
        typer.Option(help="Fail the file after so many rejects: rows (1000; 0: with the first) or a share (5%)."),
    ] = "",
    profile: Annotated[str, typer.Option(help="The profile that says how the file is read.")] = "",
    charset: Annotated[str, typer.Option(help="Such as windows-1252; UTF-8 by default.")] = "",
    locale: Annotated[str, typer.Option(help="Such as pt-BR: 1.234,50 and 31/12/2026.")] = "",
    currency: Annotated[str, typer.Option(help="Of rows that name none (ISO 4217).")] = "",
    language: Annotated[str, typer.Option(help="Of debtors whose row names none, such as pt-BR.")] = "",
    issuer: Annotated[str, typer.Option(help="Who the invoices are from, as the file of issuers names it.")] = "",
    resumable: Annotated[
        bool,
        typer.Option("--resumable", help="Send it in parts: the same command goes on after a break or Ctrl-C."),
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Stay until its invoices are mailed, or given up.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Upload a file of debts; each registered debt leads to one invoice. Exit code 1 when rows are rejected, or
    with --follow invoices fail."""
    from services.chassis.ids import new_id
    from services.cli.client import open_mesh
    from services.cli.debt_file_progress import DebtFileProgress
    from services.cli.debt_files import follow_invoices, rejects_of, show_file
    from services.cli.resumable_upload import ResumableUpload

    file_id, failed = new_id(), ""
    said = {"profile": profile, "charset": charset, "locale": locale, "currency": currency, "language": language}
    said["issuer"] = issuer
    if reject_limit and not _LIMIT.fullmatch(reject_limit):
        raise CommandError(f"--reject-limit is a number of rows like 1000, or a share like 5%, not {reject_limit!r}", 2)
    said["rejectPercent" if reject_limit.endswith("%") else "rejectLimit"] = reject_limit.removesuffix("%")
    said = {"filename": file.name, "dryRun": str(dry_run).lower()} | {name: text for name, text in said.items() if text}
    with open_mesh(state_dir).http(scopes=["debts:read", "debts:write"], timeout=60) as client:
        parts = ResumableUpload(client, file, _typed(said))
        if resumable or parts.noted:
            begun = parts.begin()
            file_id = parts.id
            if begun and not json:
                console().print(f"goes on: {begun:,} bytes are there already", highlight=False)
        if not json:
            console().print(f"debt file {file_id}: {file.name}{', only tried' if dry_run else ''}", highlight=False)
        with DebtFileProgress(client, file_id, file.stat().st_size, quiet=json) as progress:
            whole = {"id": file_id, **said}
            found = _send_parts(parts, progress) if parts.id else _send(client, file, whole, progress)
        rejects = rejects_of(client, file_id, _SHOWN_REJECTS) if int(found.get("rejected", 0)) else {}
        if json:
            print_json({"debtFile": found, "rejects": rejects.get("rejects", [])})
        else:
            show_file(found, rejects)
        if follow and not dry_run and int(found.get("accepted", 0)):
            failed = follow_invoices(client, found.get("identicalTo") or file_id, int(found["accepted"]), quiet=json)
    if found["state"] not in {"COMPLETED", "COMPLETED_WITH_REJECTS"}:
        raise CommandError(f"{file.name}: {found['state']}: {found.get('error', '')}")
    if rejected := int(found.get("rejected", 0)):
        rows = f"{rejected:,} of {int(found.get('rows', 0)):,} rows were rejected"
        failed = f"{rows}; {failed}" if failed else rows
    if failed:
        raise CommandError(failed)


def _typed(said: dict[str, str]) -> dict[str, Any]:
    """What is said of a file, as JSON has it."""
    numbers: dict[str, Any] = {"dryRun": said["dryRun"] == "true"}
    for name in ("rejectLimit", "rejectPercent"):
        if name in said:
            numbers[name] = float(said[name]) if name == "rejectPercent" else int(said[name])
    return {**said, **numbers}


def _send_parts(parts: "ResumableUpload", progress: "DebtFileProgress") -> dict[str, Any]:
    """The file in its final state. What came stays where somebody interrupts."""
    try:
        parts.send(progress)
        parts.forget()
        while (found := progress.final()) is None:
            continue
        return found
    except KeyboardInterrupt:
        if progress.sent:
            message = f"the file goes on without you: tocsin debts show {parts.id}; tocsin debts cancel stops it"
        else:
            message = "what came is kept: run the command again to go on"
        raise CommandError(message, exit_code=_INTERRUPTED) from None


def _send(client: "httpx.Client", file: Path, query: dict[str, str], progress: "DebtFileProgress") -> dict[str, Any]:
    """The file in its final state. What goes on without us is told where somebody interrupts."""
    import httpx

    from services.cli.client import answer

    try:
        with file.open("rb") as content:
            chunks = progress.counted(iter(lambda: content.read(_CHUNK), b""))
            headers = {"content-type": "application/octet-stream"}
            # Nothing comes back while rows are stored, which takes as long as it takes.
            timeout = httpx.Timeout(60, read=None)
            response = client.post("/v1/debtFiles", params=query, content=chunks, headers=headers, timeout=timeout)
        # A service that dies or is stopped goes on with the file when it is back.
        if response.status_code in _AWAY and progress.sent and progress.begun and (found := progress.final()):
            return found
        return answer(response)
    except httpx.TransportError:
        if progress.sent and (found := progress.final()) is not None:
            return found
        raise
    except KeyboardInterrupt:
        if progress.sent:
            message = f"the file goes on without you: tocsin debts show {query['id']}; tocsin debts cancel stops it"
        else:
            message = "the upload was broken off; nothing was registered"
        raise CommandError(message, exit_code=_INTERRUPTED) from None
