"""`tocsin deadletters`: what no service could process, and the way back."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="List, show, retry and archive dead letters.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="deadletters")


@app.command("list")
def list_(
    service: Annotated[str, typer.Option(help="Only of this service.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List dead letters, newest first."""
    from services.cli.client import answer, open_mesh
    from services.cli.runtime.settings import SERVICES, part_name

    name = service.replace("-", "_")
    if name and name not in SERVICES:
        known = ", ".join(part_name(one) for one in SERVICES)
        raise CommandError(f"--service is one of {known}, not {service!r}", exit_code=2)
    query: dict[str, str | int] = {"pageSize": limit} | ({"service": name} if name else {})
    with open_mesh(state_dir).http(scopes=["deadletters:read"]) as client:
        letters: list[dict[str, Any]] = answer(client.get("/v1/deadLetters", params=query)).get("deadLetters", [])
    if json:
        print_json(letters)
    elif not letters:
        console().print("[green]no dead letters[/]")
    else:
        rows = [
            (
                f"{letter['id']}\n{letter.get('deadTime', '')[:19].replace('T', ' ')}",
                _what(letter),
                letter.get("attempts", 0),
            )
            for letter in letters
        ]
        console().print(table("Dead letters", ("id, when", "what, why", "attempts>"), rows))


def _what(letter: Mapping[str, Any]) -> str:
    from services.cli.runtime.settings import part_name

    where = f"{part_name(letter['service'])}/{letter['consumer']}"
    return f"{where}: {letter['type'].split('.')[-1]}\n{letter['reason']}"


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID")], json: JsonOption = False, state_dir: StateDirOption = None
) -> None:
    """Show one dead letter with its payload and history."""
    from services.cli.client import answer, open_mesh
    from services.cli.runtime.settings import part_name

    with open_mesh(state_dir).http(scopes=["deadletters:read"]) as client:
        letter: dict[str, Any] = answer(client.get(f"/v1/deadLetters/{id_}"))
    if json:
        print_json(letter)
        return
    history = "\n".join(letter.get("history", []))
    shown = {**letter, "service": part_name(letter["service"]), "history": history}
    console().print(fields(f"dead letter {id_}", shown))


@app.command()
def retry(id_: Annotated[str, typer.Argument(metavar="ID")], state_dir: StateDirOption = None) -> None:
    """Hand a dead letter back to where it came from."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["deadletters:write"]) as client:
        outcome = answer(client.post(f"/v1/deadLetters/{id_}:retry", json={}))
    console().print(f"[green]handed back[/] to {outcome['subject']}")


@app.command()
def archive(id_: Annotated[str, typer.Argument(metavar="ID")], state_dir: StateDirOption = None) -> None:
    """Put a dead letter away for good."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["deadletters:write"]) as client:
        answer(client.post(f"/v1/deadLetters/{id_}:archive", json={}))
    console().print("[green]archived[/]")
