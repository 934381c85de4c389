"""`tocsin debts`: files of debts, what they registered, and the way back."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli import debt_status_commands
from services.cli.errors import CommandError
from services.cli.options import StateDirOption, debt_file_id, one_of
from services.cli.output import JsonOption, console, counted, fields, print_json, table

app = typer.Typer(help="Files of debts, the debts of them, and the way back.", no_args_is_help=True)

_STATES = (
    "RECEIVING",
    "PROCESSING",
    "COMPLETED",
    "COMPLETED_WITH_REJECTS",
    "FAILED",
    "CANCELLED",
    "ROLLING_BACK",
    "ROLLED_BACK",
)
_STATUSES = ("REGISTERED", "INVOICED", "MAILED", "PAID", "CANCELLED", "FAILED")
_FILE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="Id of the debt file.", callback=debt_file_id)]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    debt_status_commands.add_to(app)
    root.add_typer(app, name="debts")


@app.command()
def files(
    state: Annotated[list[str] | None, typer.Option(help=f"Only in this state: {', '.join(_STATES)}.")] = None,
    name: Annotated[str, typer.Option(help="Only files with this in their name.")] = "",
    since: Annotated[str, typer.Option(help="Only those uploaded within this time until now: 12h, 7d.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List debt files, newest first."""
    from services.cli.client import answer, open_mesh
    from services.cli.options import ago

    states = [one_of(one, _STATES, "--state") for one in state or []]
    query: dict[str, Any] = {"states": states, "filename": name, "from": ago(since, "--since"), "pageSize": str(limit)}
    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        found = answer(client.get("/v1/debtFiles", params={key: value for key, value in query.items() if value}))
    listed: list[dict[str, Any]] = found.get("debtFiles", [])
    if json:
        print_json(listed)
    elif not listed:
        console().print("no debt files")
    else:
        rows = [
            (
                f"{one['id']}\n{one['createTime'][:19].replace('T', ' ')} {one.get('filename', '')}",
                _state(one),
                int(one.get("accepted", 0)),
                int(one.get("rejected", 0)),
            )
            for one in listed
        ]
        title = f"Debt files, {len(listed)} of {int(found.get('totalSize', 0)):,}"
        console().print(table(title, ("id, when, name", "state", "accepted>", "rejected>"), rows))


def _state(file: dict[str, Any]) -> str:
    """The state, and what keeps its counts from being what they seem."""
    state = file["state"]
    if state == "ROLLED_BACK":
        return f"{state}\n{int(file.get('rolledBack', 0)):,} back, {int(file.get('kept', 0)):,} kept"
    if file.get("dryRun"):
        return f"{state}\na dry run"
    return f"{state}\nsame as {file['identicalTo']}" if file.get("identicalTo") else state


@app.command("list")
def list_(
    file: Annotated[str, typer.Option(metavar="ID", help="Only debts of this file.", callback=debt_file_id)] = "",
    status: Annotated[list[str] | None, typer.Option(help=f"Only in this status: {', '.join(_STATUSES)}.")] = None,
    due_from: Annotated[str, typer.Option(help="Only debts due from this day: 2027-01-31.")] = "",
    due_to: Annotated[str, typer.Option(help="Only debts due up to this day.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List registered debts: of one file by line, of all by id."""
    from services.cli.client import answer, open_mesh

    statuses = [one_of(one, _STATUSES, "--status") for one in status or []]
    query: dict[str, Any] = {"debtFile": file, "statuses": statuses, "dueFrom": due_from, "dueTo": due_to}
    query["pageSize"] = str(limit)
    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        page = answer(client.get("/v1/debts", params={key: value for key, value in query.items() if value}))
    found: list[dict[str, Any]] = page.get("debts", [])
    if json:
        print_json(found)
    elif not found:
        console().print("no debts")
    else:
        rows = [
            (debt["id"], f"{debt['name']}\n{debt['email']}", _amount(debt), debt["dueDate"], debt["status"])
            for debt in found
        ]
        console().print(table("Debts", ("debt", "debtor", "amount>", "due", "status"), rows))
        if page.get("nextPageToken"):
            console().print(f"the first {limit}; --limit shows more, GET /v1/debts all of them", highlight=False)


def _amount(debt: dict[str, Any]) -> str:
    return f"{debt['amount']} {debt.get('currency', '')}".strip()


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a debt file, or of a debt.")],
    follow: Annotated[bool, typer.Option("--follow", help="Stay until the file's invoices are mailed.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show a debt file with its rejects and invoices, or a debt with its invoice. Exit code 1 when --follow sees
    invoices fail."""
    from services.cli.client import answer, open_mesh
    from services.cli.debt_files import follow_invoices, invoice_counts, rejects_of, show_file

    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        if not _FILE.fullmatch(id_):
            debt: dict[str, Any] = answer(client.get(f"/v1/debts/{quote(id_, safe='')}"))
            invoice = client.get(f"/v1/invoices/{quote(id_, safe='')}")
            found: dict[str, Any] = {"debt": debt, "invoice": invoice.json() if invoice.is_success else {}}
            if json:
                print_json(found)
            else:
                state, why = found["invoice"].get("state", "not known yet"), found["invoice"].get("error", "")
                console().print(fields(f"debt {id_}", debt | {"invoice": state, "why": why}))
            return
        file: dict[str, Any] = answer(client.get(f"/v1/debtFiles/{id_}"))
        rejects = rejects_of(client, id_, 10) if int(file.get("rejected", 0)) else {}
        counts = invoice_counts(client, file.get("identicalTo") or id_)
        if json:
            print_json({"debtFile": file, "rejects": rejects.get("rejects", []), "invoices": dict(counts)})
        else:
            show_file(file, rejects)
            if counts:
                rows = [(state, f"{count:,}") for state, count in sorted(counts.items())]
                console().print(table("Invoices", ("state", "invoices>"), rows))
        if follow and (accepted := int(file.get("accepted", 0)) - int(file.get("rolledBack", 0))):
            failed = follow_invoices(client, file.get("identicalTo") or id_, accepted, quiet=json)
            if failed:
                raise CommandError(failed)


@app.command()
def rejects(
    file: FileArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, not to the terminal.")
    ] = None,
    state_dir: StateDirOption = None,
) -> None:
    """Write the rejected rows of a file as a CSV: its own columns and the reason, to be mended and sent again."""
    from services.cli.client import answer, open_mesh

    with (
        open_mesh(state_dir).http(scopes=["debts:read"]) as client,
        client.stream("GET", f"/v1/debtFiles/{quote(file, safe='')}/rejects:download") as response,
    ):
        if not response.is_success:
            response.read()
            answer(response)
        if output is None:
            for chunk in response.iter_bytes():
                sys.stdout.buffer.write(chunk)
        else:
            with output.open("wb") as out:
                for chunk in response.iter_bytes():
                    out.write(chunk)
            console(stderr=True).print(f"{output}: {output.stat().st_size:,} bytes", highlight=False)


@app.command()
def cancel(file: FileArgument, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Stop a file that is on its way. What is registered by then stays: `rollback` takes it back."""
    _change(file, "cancel", json, state_dir)


@app.command()
def rollback(file: FileArgument, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Take the debts of a file back, those whose invoice has not gone out. Exit code 1 when debts stay."""
    found = _change(file, "rollback", json, state_dir)
    if kept := int(found.get("kept", 0)):
        stay = (
            "1 debt stays, because its invoice is" if kept == 1 else f"{kept:,} debts stay, because their invoices are"
        )
        raise CommandError(f"{stay} out: tocsin debts list --file {file}")


def _change(file: str, verb: str, json: bool, state_dir: Path | None) -> dict[str, Any]:
    from services.cli.client import answer, open_mesh
    from services.cli.debt_files import show_file

    with open_mesh(state_dir).http(scopes=["debts:write"], timeout=60) as client:
        while True:
            found: dict[str, Any] = answer(client.post(f"/v1/debtFiles/{quote(file, safe='')}:{verb}", json={}))
            # What takes long goes on behind the answer.
            if verb != "rollback" or found["state"] == "ROLLED_BACK":
                break
    if json:
        print_json(found)
    else:
        show_file(found, {})
    return found


@app.command()
def retry(
    file: FileArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Try the failed invoices of a file again."""
    from services.cli.client import answer, open_mesh

    body = {"filter": {"debtFile": file}, "dryRun": dry_run}
    retried = 0
    with open_mesh(state_dir).http(scopes=["debts:write"]) as client:
        while True:
            found = answer(client.post("/v1/invoices:retry", json=body))
            retried += int(found.get("retried", 0))
            if dry_run or not found.get("more"):
                break
    if json:
        print_json({"retried": retried})
    else:
        tense = "would be" if dry_run else "is" if retried == 1 else "are"
        console().print(f"{counted(retried, 'invoice')} {tense} tried again", highlight=False)
