"""`tocsin invoices`: where the invoices of debts are, and another try for those that could not be mailed."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, debt_file_id, one_of
from services.cli.output import JsonOption, console, counted, fields, print_json, table

app = typer.Typer(help="List, show, retry and link to invoices.", no_args_is_help=True)

_STATES = ("PENDING", "STORED", "MAILED", "FAILED", "CANCELLED")
FileOption = Annotated[str, typer.Option("--file", metavar="ID", help="Only of this debt file.", callback=debt_file_id)]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="invoices")


@app.command("list")
def list_(
    debt_file: FileOption = "",
    state: Annotated[str, typer.Option(help=f"Only in this state: {', '.join(_STATES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List invoices, newest first."""
    from services.cli.client import answer, open_mesh

    query = {"debtFile": debt_file, "state": one_of(state, _STATES, "--state"), "pageSize": str(limit)}
    given = {name: value for name, value in query.items() if value}
    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        page = answer(client.get("/v1/invoices", params=given))
    found: list[dict[str, Any]] = page.get("invoices", [])
    if json:
        print_json(found)
    elif not found:
        console().print("no invoices")
    else:
        rows = [(one["debt"], one["state"], f"{one['email']}\n{_why(one)}".strip(), one["attempts"]) for one in found]
        console().print(table("Invoices", ("debt", "state", "to, why not", "attempts>"), rows))
        if page.get("nextPageToken"):
            console().print(f"the first {limit}; --limit shows more, GET /v1/invoices all of them", highlight=False)


@app.command()
def show(
    debt: Annotated[str, typer.Argument(metavar="DEBT")], json: JsonOption = False, state_dir: StateDirOption = None
) -> None:
    """Show the invoice of a debt."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        found: dict[str, Any] = answer(client.get(f"/v1/invoices/{quote(debt, safe='')}"))
    if json:
        print_json(found)
    else:
        console().print(fields(f"invoice {debt}", found))


@app.command()
def retry(
    debts: Annotated[list[str] | None, typer.Argument(metavar="[DEBT]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the filters match.")] = False,
    debt_file: FileOption = "",
    state: Annotated[str, typer.Option(help="FAILED ones, or STORED ones that wait for their next attempt.")] = "",
    code: Annotated[str, typer.Option(help="Only with errors that begin so: SMTP_4, RENDER_FAILED.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")] = False,
    state_dir: StateDirOption = None,
) -> None:
    """Mail invoices again now: those named, or with --all those that the filters match (FAILED ones)."""
    from services.cli.client import answer, open_mesh

    given = {"debtFile": debt_file, "state": one_of(state, ("FAILED", "STORED"), "--state"), "code": code}
    filters = {name: value for name, value in given.items() if value}
    if everything == bool(debts) or (debts and (filters or dry_run)):
        raise CommandError("retry takes DEBTs, or --all with filters and --dry-run", exit_code=2)
    with open_mesh(state_dir).http(scopes=["debts:write"]) as client:
        for debt in debts or []:
            answer(client.post(f"/v1/invoices/{quote(debt, safe='')}:retry", json={}))
            console().print(f"{debt} [green]is tried again[/]")
        total, more = 0, everything
        while more:
            outcome = answer(client.post("/v1/invoices:retry", json={"filter": filters, "dryRun": dry_run}))
            total, more = total + outcome.get("retried", 0), outcome.get("more", False)
            if dry_run:
                told = f"{total:,} or more invoices" if more else counted(total, "invoice")
                console().print(f"{told} would be tried again")
                return
    if everything:
        console().print(f"{counted(total, 'invoice')} [green]{'is' if total == 1 else 'are'} tried again[/]")


@app.command()
def link(
    debt: Annotated[str, typer.Argument(metavar="DEBT")], json: JsonOption = False, state_dir: StateDirOption = None
) -> None:
    """Make a link that opens the invoice of a debt, for whoever has it."""
    from services.cli.client import answer, open_mesh

    mesh = open_mesh(state_dir)
    with mesh.http(scopes=["debts:read"]) as client:
        found: dict[str, Any] = answer(client.post(f"/v1/invoices/{quote(debt, safe='')}:link", json={}))
    url: str = found["url"]
    found["url"] = mesh.instance.edge_url + url if url.startswith("/") else url
    if json:
        print_json(found)
    else:
        print(found["url"])


def _why(invoice: dict[str, Any]) -> str:
    error, again = invoice.get("error", ""), invoice.get("nextAttemptTime", "")
    return f"{error}\nagain at {again[:19].replace('T', ' ')}" if error and again else error
