"""Debt files as people see them: figures, rejects, what becomes of their invoices."""

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from services.cli.errors import CommandError
from services.cli.output import console, counted, fields, table

if TYPE_CHECKING:
    import httpx

_LOOK_SECONDS = 1.0
_STILL = 10
"""Looks without anything new, after which it is told where to look."""
_INTERRUPTED = 130


def rejects_of(client: "httpx.Client", file_id: str, limit: int) -> dict[str, Any]:
    """The first rejects of a file, and how many there are for each reason."""
    from services.cli.client import answer

    return answer(client.get(f"/v1/debtFiles/{file_id}/rejects", params={"pageSize": str(limit)}))


def invoice_counts(client: "httpx.Client", file_id: str) -> Counter[str]:
    """How many invoices of a file there are in each state."""
    from services.cli.client import answer

    found = answer(client.get("/v1/invoices:count", params={"debtFile": file_id}))
    return Counter({one["state"]: int(one["invoices"]) for one in found.get("counts", [])})


def show_file(file: dict[str, Any], rejects: dict[str, Any]) -> None:
    """Prints the file, and the rejects of it that are given."""
    out = console()
    tried = file.get("dryRun", False)
    figures = {
        "file": file.get("filename"),
        "issuer": file.get("issuer"),
        "bytes": f"{int(file.get('bytes', 0)):,}" if file["state"] == "RECEIVING" else None,
        "why" if file["state"] in {"CANCELLED", "ROLLED_BACK"} else "error": file.get("error"),
        "note": file.get("note"),
        "rows": _count(file, "rows"),
        "would be accepted" if tried else "accepted": _count(file, "accepted"),
        "known already": _count(file, "duplicates"),
        "rejected": _count(file, "rejected"),
        "same content as": file.get("identicalTo"),
        "rolled back": _count(file, "rolledBack") if "ROLL" in file["state"] else None,
        "kept": _count(file, "kept") if "ROLL" in file["state"] else None,
    }
    out.print(fields(f"debt file {file['id']}: {file['state']}", figures))
    if tried:
        out.print("a dry run: nothing was registered")
    if reasons := rejects.get("reasons"):
        out.print(
            table(
                "Rejects by their first reason", ("reason", "rows>"), [(one["reason"], one["rows"]) for one in reasons]
            )
        )
    if listed := rejects.get("rejects"):
        rows = [
            (reject["line"], rule.get("column", ""), rule.get("message", ""))
            for reject in listed
            for rule in reject.get("brokenRules", [])
        ]
        out.print(table("First rejects", ("line>", "column", "why"), rows))
        if int(file.get("rejected", 0)) > len(listed):
            command = f"tocsin debts rejects {file['id']}"
            out.print(f"all of them, to mend and send again: {command}", highlight=False, soft_wrap=True)


def _count(file: dict[str, Any], name: str) -> str:
    return f"{int(file.get(name, 0)):,}"


def follow_invoices(client: "httpx.Client", file_id: str, debts: int, *, quiet: bool) -> str:
    """Shows invoices and e-mails of the file's debts until all are mailed or given up. What is to be said of those that
    failed; empty where none did."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description:<10}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console(), disable=quiet) as progress:
            made, mailed = (progress.add_task(name, total=debts, told="") for name in ("invoiced", "mailed"))
            still, before = 0, Counter[str]()
            while True:
                counts = invoice_counts(client, file_id)
                over = counts["MAILED"] + counts["FAILED"] + counts["CANCELLED"]
                ready = over + counts["STORED"]
                progress.update(made, completed=ready, told=f"{ready:,} of {debts:,}")
                told = f"{counts['MAILED']:,} of {debts:,}" + (
                    f", {counts['FAILED']:,} failed" if counts["FAILED"] else ""
                )
                progress.update(mailed, completed=over, told=told)
                if over >= debts:
                    break
                still = still + 1 if counts == before else 0
                before = counts
                if still == _STILL and not quiet:
                    waits = f"tocsin invoices list --file {file_id} --state STORED"
                    progress.console.print(f"the others wait, why and until when: {waits}", soft_wrap=True)
                time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        raise CommandError(
            f"the invoices go on without you: tocsin debts show {file_id}", exit_code=_INTERRUPTED
        ) from None
    failed = counts["FAILED"]
    return (
        f"{counted(failed, 'invoice')} failed: tocsin invoices list --file {file_id} --state FAILED" if failed else ""
    )
