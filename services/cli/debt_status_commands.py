"""`tocsin debts pay`, `cancel-debt`, `reopen`, `history`, `erase`: what has become of a debt, and its debtor's data."""

import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json, table

_LOOK_SECONDS = 1.0
DebtArgument = Annotated[str, typer.Argument(metavar="DEBT", help="Id of the debt.")]
NoteOption = Annotated[str, typer.Option(help="Why, for its history: a reason, the number of a payment.")]
VersionOption = Annotated[int, typer.Option(min=0, help="The version that you have seen; another one is refused.")]


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(pay)
    app.command("cancel-debt")(cancel_debt)
    app.command()(reopen)
    app.command()(history)
    app.command()(erase)


def pay(
    debt: DebtArgument,
    note: NoteOption = "",
    version: VersionOption = 0,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Say that a debt is paid: its invoice is taken back if its e-mail has not gone out."""
    _say(debt, "PAID", note, version, json, state_dir)


def cancel_debt(
    debt: DebtArgument,
    note: NoteOption = "",
    version: VersionOption = 0,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Cancel one debt: its invoice is taken back if its e-mail has not gone out."""
    _say(debt, "CANCELLED", note, version, json, state_dir)


def reopen(
    debt: DebtArgument,
    note: NoteOption = "",
    version: VersionOption = 0,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Say that a debt is neither paid nor cancelled any more: its invoice goes on where it was."""
    _say(debt, "REGISTERED", note, version, json, state_dir)


def _say(debt: str, status: str, note: str, version: int, json: bool, state_dir: Path | None) -> None:
    from services.cli.client import answer, open_mesh

    headers = {"If-Match": f'"{version}"'} if version else {}
    with open_mesh(state_dir).http(scopes=["debts:write"]) as client:
        found: dict[str, Any] = answer(
            client.patch(f"/v1/debts/{quote(debt, safe='')}", json={"status": status, "note": note}, headers=headers)
        )
    if json:
        print_json(found)
    else:
        console().print(fields(f"debt {debt}: {found['status']}", found))


def history(debt: DebtArgument, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Show how the status of a debt has changed, oldest first."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        found = answer(client.get(f"/v1/debts/{quote(debt, safe='')}/history"))
    changes: list[dict[str, Any]] = found.get("changes", [])
    if json:
        print_json(changes)
        return
    rows = [
        (
            one["changeTime"][:19].replace("T", " "),
            one["status"],
            " by ".join(filter(None, (one.get("event"), one.get("by")))),
            one.get("note", ""),
        )
        for one in changes
    ]
    console().print(table(f"Debt {debt}", ("when", "status", "who or what", "note"), rows))


def erase(
    debts: Annotated[list[str] | None, typer.Argument(metavar="[DEBT]...", help="Ids of debts.")] = None,
    government_id: Annotated[str, typer.Option(help="All debts of the debtor with this government id.")] = "",
    email: Annotated[str, typer.Option(help="All debts of the debtor with this e-mail address.")] = "",
    note: Annotated[str, typer.Option(help="Why, for the record, which is kept: it names nobody.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Erase the personal data of a debtor for good: debts, rejected rows, invoices with their PDFs, dead letters."""
    from services.cli.client import answer, open_mesh

    if sum(map(bool, (debts, government_id, email))) != 1:
        raise CommandError("erase takes DEBTs, --government-id or --email", exit_code=2)
    body = {"debts": debts or [], "governmentId": government_id, "email": email, "note": note}
    with open_mesh(state_dir).http(scopes=["debts:admin"], timeout=60) as client:
        found: dict[str, Any] = answer(client.post("/v1/debts:erase", json=body))
        while found["state"] == "RUNNING":
            time.sleep(_LOOK_SECONDS)
            found = answer(client.get(f"/v1/debtErasures/{found['id']}"))
    if json:
        print_json(found)
    else:
        console().print(fields(f"erasure {found['id']}: {found['state']}", found))
        if not any(int(found.get(what, 0)) for what in ("debts", "rejects", "invoices", "documents", "deadLetters")):
            console().print("nothing is there of such a debtor; government ids are written as the debts have them")
