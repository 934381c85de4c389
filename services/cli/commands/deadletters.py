"""`tocsin deadletters`: what no service could process, and the way back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, one_of
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="List, show, retry and archive dead letters.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="deadletters")


_REASONS = (
    "BAD_CONTENT",
    "REFUSED",
    "UNREACHABLE",
    "THROTTLED",
    "UNKNOWN_OUTCOME",
    "CONFIGURATION",
    "DEFECT",
)
_STATES = ("OPEN", "RETRIED", "ARCHIVED")

ServiceOption = Annotated[str, typer.Option(help="Only of this service.")]
ReasonOption = Annotated[str, typer.Option(help=f"Only of this class of reasons: {', '.join(_REASONS)}.")]
TenantOption = Annotated[str, typer.Option(help="Only of this tenant.")]
OlderOption = Annotated[str, typer.Option(help="Only those that died at least so long ago: 1h.")]
SinceOption = Annotated[str, typer.Option(help="Only those that died within this time until now: 12h, 7d.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")]


@app.command("list")
def list_(
    service: ServiceOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    older_than: OlderOption = "",
    since: SinceOption = "",
    state: Annotated[str, typer.Option(help="OPEN, RETRIED or ARCHIVED ones.")] = "OPEN",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List dead letters, newest first: the open ones, unless another state is asked for."""
    from services.cli.client import answer, open_mesh

    wanted = one_of(state, _STATES, "--state")
    query = _filter(service, reason, tenant, older_than, since) | {"state": wanted, "pageSize": str(limit)}
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
                letter["reasonClass"].lower().replace("_", " "),
                _what(letter),
                letter.get("attempts", 0),
            )
            for letter in letters
        ]
        console().print(table("Dead letters", ("id, when", "class", "what, why", "attempts>"), rows))


def _filter(service: str, reason: str, tenant: str, older_than: str, since: str) -> dict[str, str]:
    """As the contract's JSON has it. Raises CommandError."""
    from services.cli.options import ago, service_name

    name = service_name(service)
    given = {
        "service": name,
        "reasonClass": one_of(reason, _REASONS, "--reason"),
        "tenant": tenant,
        "from": ago(since, "--since"),
        "to": ago(older_than, "--older-than"),
    }
    return {field: value for field, value in given.items() if value}


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
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All open ones that the filters match.")] = False,
    service: ServiceOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    older_than: OlderOption = "",
    since: SinceOption = "",
    dry_run: DryRunOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Hand dead letters back to where they came from: those named, or with --all those that the filters match."""
    filters = _filter(service, reason, tenant, older_than, since)
    _close("retry", ids or [], everything, filters, dry_run=dry_run, state_dir=state_dir)


@app.command()
def archive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All open ones that the filters match.")] = False,
    service: ServiceOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    older_than: OlderOption = "",
    since: SinceOption = "",
    dry_run: DryRunOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Put dead letters away: those named, or with --all those that the filters match."""
    filters = _filter(service, reason, tenant, older_than, since)
    _close("archive", ids or [], everything, filters, dry_run=dry_run, state_dir=state_dir)


def _close(
    verb: str, ids: list[str], everything: bool, filters: dict[str, str], *, dry_run: bool, state_dir: Path | None
) -> None:
    from services.cli.client import answer, open_mesh

    if everything == bool(ids) or (ids and (filters or dry_run)):
        raise CommandError(f"{verb} takes IDs, or --all with filters and --dry-run", exit_code=2)
    done = {"retry": "handed back", "archive": "archived"}[verb]
    with open_mesh(state_dir).http(scopes=["deadletters:write"]) as client:
        for id_ in ids:
            outcome = answer(client.post(f"/v1/deadLetters/{quote(id_, safe='')}:{verb}", json={}))
            to = f" to {outcome['subject']}" if "subject" in outcome else ""
            console().print(f"{id_} [green]{done}[/]{to}")
        total, more = 0, everything
        while more:
            body = {"filter": filters, "dryRun": dry_run}
            outcome = answer(client.post(f"/v1/deadLetters:{verb}", json=body))
            total, more = total + outcome.get("retried", outcome.get("archived", 0)), outcome.get("more", False)
            if dry_run:
                console().print(f"{total}{' or more' if more else ''} would be {done}")
                return
    if everything:
        console().print(f"{total} [green]{done}[/]")
