"""`tocsin profiles`: how the files of a sender are read."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="List, show, add and remove profiles of debt files.", no_args_is_help=True)
ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="Id of the profile.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="profiles")


@app.command("list")
def list_(json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """List the profiles, by id."""
    from services.cli.client import answer, open_mesh

    found: list[dict[str, Any]] = []
    query = {"pageSize": "1000"}
    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        while True:
            page = answer(client.get("/v1/debtFileProfiles", params=query))
            found += page.get("profiles", [])
            if not page.get("nextPageToken"):
                break
            query["pageToken"] = page["nextPageToken"]
    if json:
        print_json(found)
    elif not found:
        console().print("no profiles")
    else:
        shown = ("id", "charset", "locale", "currency", "language", "issuer")
        rows = [(*(one.get(name, "") for name in shown), _columns(one)) for one in found]
        console().print(table("Profiles", (*shown, "columns"), rows))


@app.command()
def show(profile: ProfileArgument, json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Show a profile."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["debts:read"]) as client:
        _shown(answer(client.get(f"/v1/debtFileProfiles/{quote(profile, safe='')}")), json)


@app.command()
def add(
    profile: ProfileArgument,
    column: Annotated[
        list[str] | None, typer.Option(metavar="NAME=COLUMN", help="What a column of the file is: Betrag=debtAmount.")
    ] = None,
    other_columns: Annotated[bool, typer.Option("--other-columns", help="Others may be there, and are read over.")] = (
        False
    ),
    charset: Annotated[str, typer.Option(help="Such as windows-1252; UTF-8 by default.")] = "",
    locale: Annotated[str, typer.Option(help="Such as pt-BR: 1.234,50 and 31/12/2026.")] = "",
    currency: Annotated[str, typer.Option(help="Of rows that name none (ISO 4217).")] = "",
    language: Annotated[str, typer.Option(help="Of debtors whose row names none, such as pt-BR.")] = "",
    issuer: Annotated[str, typer.Option(help="Who the invoices are from, as the file of issuers names it.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Add a profile. The same again changes nothing; to change one, remove it first."""
    from services.cli.client import answer, open_mesh

    said = {"charset": charset, "locale": locale, "currency": currency, "language": language, "issuer": issuer}
    body = {"id": profile, "columns": _named(column or []), "otherColumns": other_columns, **said}
    with open_mesh(state_dir).http(scopes=["debts:write"]) as client:
        _shown(answer(client.post("/v1/debtFileProfiles", json=body)), json)


@app.command()
def remove(profile: ProfileArgument, state_dir: StateDirOption = None) -> None:
    """Remove a profile. Files that were read by it stay as they are."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["debts:write"]) as client:
        answer(client.delete(f"/v1/debtFileProfiles/{quote(profile, safe='')}"))
    console().print(f"profile {profile} is removed", highlight=False)


def _named(given: list[str]) -> dict[str, str]:
    """Names of the file and the columns that they are. A name may hold `=` itself."""
    named: dict[str, str] = {}
    for one in given:
        name, _, column = one.rpartition("=")
        if not name or not column:
            raise CommandError(f"--column is NAME=COLUMN, such as Betrag=debtAmount, not {one!r}", 2)
        if name in named:
            raise CommandError(f"--column names {name!r} twice", 2)
        named[name] = column
    return named


def _columns(profile: dict[str, Any]) -> str:
    named = [f"{name}={column}" for name, column in profile.get("columns", {}).items()]
    return ", ".join([*named, "and others"] if profile.get("otherColumns") else named)


def _shown(profile: dict[str, Any], json: bool) -> None:
    if json:
        print_json(profile)
    else:
        known = {name: value for name, value in profile.items() if name not in {"columns", "otherColumns"}}
        console().print(fields(f"profile {profile['id']}", known | {"columns": _columns(profile)}))
