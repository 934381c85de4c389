"""`tocsin upload`: a CSV of debts, with progress."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json, table

_CHUNK = 256 * 1024
_SHOWN_REJECTS = 10


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(upload)


def upload(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV, also packed with gzip, or xlsx, of debts.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Validate every row, register none.")] = False,
    reject_limit: Annotated[
        str, typer.Option(help="Fail the file after so many rejects, in rows (1000) or of all rows (5%).")
    ] = "",
    profile: Annotated[str, typer.Option(help="The profile that says how the file is read.")] = "",
    charset: Annotated[str, typer.Option(help="Such as windows-1252; UTF-8 by default.")] = "",
    locale: Annotated[str, typer.Option(help="Such as pt-BR: 1.234,50 and 31/12/2026.")] = "",
    currency: Annotated[str, typer.Option(help="Of rows that name none (ISO 4217).")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Upload a file of debts; each registered debt leads to one invoice. Exit code 1 when rows are rejected."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    from services.cli.client import answer, open_mesh

    said = {"profile": profile, "charset": charset, "locale": locale, "currency": currency}
    said["rejectPercent" if reject_limit.endswith("%") else "rejectLimit"] = reject_limit.removesuffix("%")
    query = {"filename": file.name, "dryRun": str(dry_run).lower()} | {
        name: text for name, text in said.items() if text
    }
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with (
        open_mesh(state_dir).http(scopes=["debts:write"], timeout=3600) as client,
        Progress(*columns, console=console(), disable=json) as progress,
        file.open("rb") as content,
    ):
        task = progress.add_task(file.name, total=file.stat().st_size)

        def chunks() -> Iterator[bytes]:
            while chunk := content.read(_CHUNK):
                yield chunk
                progress.advance(task, len(chunk))

        result: dict[str, Any] = answer(
            client.post("/v1/debtFiles", params=query, content=chunks(), headers={"content-type": "text/csv"})
        )
        rejects: list[dict[str, Any]] = []
        if int(result.get("rejected", 0)):
            listing = client.get(f"/v1/debtFiles/{result['id']}/rejects", params={"pageSize": _SHOWN_REJECTS})
            rejects = answer(listing).get("rejects", [])
    if json:
        print_json({"debtFile": result, "rejects": rejects})
    else:
        _show(result, rejects)
        if int(result.get("rejected", 0)):
            console().print(f"All of them, to mend and send again: GET /v1/debtFiles/{result['id']}/rejects:download")
    if result["state"] == "FAILED":
        raise CommandError(f"{file.name} was refused: {result.get('error', '')}")
    if rejected := int(result.get("rejected", 0)):
        raise CommandError(f"{rejected:,} of {int(result.get('rows', 0)):,} rows were rejected")


def _show(result: dict[str, Any], rejects: list[dict[str, Any]]) -> None:
    out = console()
    repeated = result.get("identicalTo")
    out.print(
        fields(
            f"debt file {result['id']}: {result['state']}",
            {
                "rows": f"{int(result.get('rows', 0)):,}",
                "accepted": f"{int(result.get('accepted', 0)):,}",
                "known already": f"{int(result.get('duplicates', 0)):,}",
                "rejected": f"{int(result.get('rejected', 0)):,}",
                "same content as": repeated,
            },
        )
    )
    if rejects:
        rows = [
            (reject["line"], rule.get("column", ""), rule.get("message", ""))
            for reject in rejects
            for rule in reject.get("brokenRules", [])
        ]
        out.print(table("First rejects", ("line>", "column", "why"), rows))
