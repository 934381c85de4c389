"""`tocsin notify`: try a notification out."""

from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json

app = typer.Typer(help="Send test notifications.", no_args_is_help=True)
_TYPES = ("ALERT", "REMINDER", "INFO")
_CHANNELS = ("CONSOLE", "EMAIL", "WEBHOOK", "FCM")


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="notify")


@app.callback()
def _group() -> None:
    """A group stays a group with a single command in it."""


@app.command("test")
def send_test(
    user: Annotated[str, typer.Argument(help="User whom it is for.")],
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="ALERT, REMINDER or INFO.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    tenant: Annotated[str, typer.Option(help="Tenant on whose behalf it is sent.")] = "test",
    channel: Annotated[str, typer.Option(help="CONSOLE, EMAIL, WEBHOOK or FCM; by the user's channel plan.")] = "",
    title: Annotated[str, typer.Option(help="Title of the notification.")] = "Test notification",
    body: Annotated[str, typer.Option(help="Text of the notification.")] = "It works: this is a test of Tocsin.",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Send (or show) a test notification, and wait for the first attempt."""
    from services.cli.client import answer, open_mesh

    kind, wanted = type_.upper(), channel.upper()
    if kind not in _TYPES:
        raise CommandError(f"TYPE is one of {', '.join(_TYPES)}, not {type_!r}", exit_code=2)
    if wanted and wanted not in _CHANNELS:
        raise CommandError(f"--channel is one of {', '.join(_CHANNELS)}, not {channel!r}", exit_code=2)
    request: dict[str, Any] = {"tenant": tenant, "user": user, "type": kind, "title": title, "body": body}
    request |= {"wait": not dry_run, "dryRun": dry_run} | ({"channel": wanted} if wanted else {})
    with open_mesh(state_dir).http(scopes=["notifications:write"]) as client:
        result: dict[str, Any] = answer(client.post("/v1/notifications", json=request))
    if json:
        print_json(result)
    else:
        colour = {"SENT": "green", "FAILED": "red"}.get(result["status"], "yellow")
        headline = "[yellow]dry run, nothing sent[/]" if dry_run else f"[{colour}]{result['status']}[/]"
        out = console()
        out.print(headline)
        shown = {
            name: result.get(name)
            for name in ("id", "tenant", "user", "type", "channel", "address", "title", "body", "error")
        }
        if result.get("nextAttemptTime"):
            shown["next attempt"] = result["nextAttemptTime"]
        for place, one in enumerate(result.get("plan", []), 1):
            shown[f"{place}."] = f"{one['channel']} {one['address']}, {_when(one.get('after'))}"
        out.print(fields("", shown))
    if not dry_run and result["status"] == "FAILED":
        raise CommandError(f"the notification was given up: {result.get('error', '')}")
    if not dry_run and result["status"] == "PENDING":
        raise CommandError(f"nobody has been reached yet: {result.get('error', '') or 'the attempt goes on'}")


def _when(after: str | None) -> str:
    if after is None:
        return "when what is before it has failed for good"
    return "at once" if after == "0s" else f"after {after} without an answer"
