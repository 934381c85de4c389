"""`tocsin reminders`: what people are reminded of, when, and what became of it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, span
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="Make, list, pause and judge reminders.", no_args_is_help=True)
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_ANSWERS = ("SEND", "SKIP", "HOLD")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the reminder, for example `ann-metformin`.")]
Tenant = Annotated[str, typer.Option(help="Tenant of the reminder.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="reminders")


@app.command()
def create(
    id_: Id,
    user: Annotated[str, typer.Option(help="User who is reminded.")],
    title: Annotated[str, typer.Option(help="Title of the notification.")],
    zone: Annotated[str, typer.Option(help="IANA time zone, like Europe/Istanbul.")],
    at: Annotated[list[str] | None, typer.Option(help="Time of day, like 08:00; may be given several times.")] = None,
    cron: Annotated[str, typer.Option(help="Cron expression of five fields, in place of --at.")] = "",
    body: Annotated[str, typer.Option(help="Text of the notification.")] = "",
    channel: Annotated[str, typer.Option(help="CONSOLE, EMAIL, WEBHOOK or FCM; by the user's plan if empty.")] = "",
    start: Annotated[str, typer.Option(help="No occurrence before this time (RFC 3339).")] = "",
    end: Annotated[str, typer.Option(help="No occurrence at this time or later (RFC 3339).")] = "",
    check: Annotated[
        str, typer.Option(help="URL to ask whether it is done; {user}, {reminder} and {occurrence} are filled in.")
    ] = "",
    no_answer: Annotated[str, typer.Option(help="SEND, SKIP or HOLD when nobody answers.")] = "SEND",
    skip_missed: Annotated[bool, typer.Option("--skip-missed", help="Catch nothing up after an outage.")] = False,
    window: Annotated[str, typer.Option(help="How old an occurrence may be to be caught up, like 2h.")] = "",
    max_every: Annotated[
        int, typer.Option(min=0, max=64, help="Thin out to every so-many-th occurrence while it is hardly opened.")
    ] = 0,
    tenant: Tenant = "test",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Make a reminder: `tocsin reminders create ann-metformin --user ann --title "Metformin" --at 08:00 --zone UTC`."""
    from services.cli.client import answer, open_mesh

    if bool(at) == bool(cron):
        raise CommandError("give --at (once or several times) or --cron", exit_code=2)
    if wrong := [time for time in at or () if not _TIME_OF_DAY.fullmatch(time)]:
        raise CommandError(f"--at is a time of day of two digits each, like 08:00, not {wrong[0]!r}", exit_code=2)
    if no_answer.upper() not in _ANSWERS:
        raise CommandError(f"--no-answer is one of {', '.join(_ANSWERS)}, not {no_answer!r}", exit_code=2)
    given: dict[str, Any] = {
        "id": id_,
        "tenant": tenant,
        "user": user,
        "title": title,
        "body": body,
        "timesOfDay": at,
        "cron": cron,
        "timeZone": zone,
        "startTime": start,
        "endTime": end,
        "channel": channel.upper(),
        "check": {"url": check, "onNoAnswer": no_answer.upper()} if check else None,
        "missedPolicy": "SKIP_MISSED" if skip_missed else "CATCH_UP",
        "catchUpWindow": span(window, "--window"),
        "adaptive": {"maxEvery": max_every} if max_every else None,
    }
    reminder = {name: value for name, value in given.items() if value}
    with open_mesh(state_dir).http(scopes=["reminders:write"]) as client:
        made: dict[str, Any] = answer(client.post("/v1/reminders", json=reminder))
    _tell("created", made, json=json)


@app.command("list")
def list_(
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    tenant: Tenant = "test",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List reminders by id."""
    query: dict[str, str | int] = {"tenant": tenant, "pageSize": limit} | ({"user": user} if user else {})
    found: list[dict[str, Any]] = _get("/v1/reminders", query, state_dir).get("reminders", [])
    if json:
        print_json(found)
    elif not found:
        console().print("[yellow]no reminders[/]; 'tocsin reminders create --help' tells how to make one")
    else:
        rows = [(one["id"], one["user"], _when(one), _next(one), one["title"]) for one in found]
        console().print(table("Reminders", ("id", "user", "when", "next (UTC)", "title"), rows))


@app.command()
def show(id_: Id, tenant: Tenant = "test", json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Show a reminder, and when it runs next."""
    found = _get(_path(id_), {"tenant": tenant}, state_dir)
    if json:
        print_json(found)
        return
    check, adaptive = found.get("check", {}), found.get("adaptive", {})
    shown = {
        "user": found["user"],
        "title": found["title"],
        "body": found.get("body"),
        "when": _when(found),
        "state": found["state"],
        "next run (UTC)": _next(found),
        "asks": f"{check['url']} ({check['onNoAnswer']} without an answer)" if check else None,
        "missed": found["missedPolicy"],
        "runs at": "every occurrence" if found["every"] == 1 else f"one of {found['every']} occurrences",
        "at most rarely": f"one of {adaptive['maxEvery']}" if adaptive else None,
        "version": found["version"],
    }
    console().print(fields(f"reminder {id_}", {name: value for name, value in shown.items() if value}))


@app.command()
def pause(id_: Id, tenant: Tenant = "test", json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Stop a reminder; what waits to be decided is not sent."""
    _tell("paused", _post(f"{_path(id_)}:pause", tenant, state_dir), json=json)


@app.command()
def resume(id_: Id, tenant: Tenant = "test", json: JsonOption = False, state_dir: StateDirOption = None) -> None:
    """Let a paused reminder run again, from now on."""
    _tell("resumed", _post(f"{_path(id_)}:resume", tenant, state_dir), json=json)


@app.command()
def delete(id_: Id, tenant: Tenant = "test", state_dir: StateDirOption = None) -> None:
    """Remove a reminder and what was decided about it."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["reminders:write"]) as client:
        answer(client.delete(_path(id_), params={"tenant": tenant}))
    console().print(f"[green]deleted[/] {id_}")


@app.command()
def occurrences(
    id_: Id,
    tenant: Tenant = "test",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List what was decided each time, and why, the latest first."""
    query: dict[str, str | int] = {"tenant": tenant, "pageSize": limit}
    found: list[dict[str, Any]] = _get(f"{_path(id_)}/occurrences", query, state_dir).get("occurrences", [])
    if json:
        print_json(found)
        return
    rows = [
        (
            _minute(one["time"]),
            one["decision"],
            one.get("reason", "") + (f" ({one['error']})" if one.get("error") else ""),
            "opened" if one.get("openTime") else one.get("notification", "")[:13],
        )
        for one in found
    ]
    console().print(table(f"Occurrences of {id_}", ("due (UTC)", "decision", "reason", "notification"), rows))


@app.command()
def stats(
    id_: Annotated[str, typer.Argument(metavar="[ID]", help="Of this reminder; of all of the tenant if empty.")] = "",
    user: Annotated[str, typer.Option(help="Only of this user.")] = "",
    tenant: Tenant = "test",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Count what was sent, skipped and opened in the last 30 days."""
    path = f"{_path(id_)}/statistics" if id_ else "/v1/reminderStatistics"
    found = _get(path, {"tenant": tenant} | ({"user": user} if user else {}), state_dir)
    if json:
        print_json(found)
        return
    rate, reasons = found.get("openRate"), found.get("skippedByReason", {})
    shown = {
        "sent": found.get("sent", 0),
        "skipped": ", ".join([str(found.get("skipped", 0)), *(f"{name} {count}" for name, count in reasons.items())]),
        "held, pending": f"{found.get('held', 0)}, {found.get('pending', 0)}",
        "checks without an answer": found.get("unanswered", 0),
        "opened": f"{found.get('opened', 0)}" + ("" if rate is None else f" ({rate:.0%})"),
        "reminders": found.get("reminders", 0),
        "runs at": f"one of {found['every']} occurrences" if found.get("every") else None,
        "next run (UTC)": _next(found),
    }
    title = f"reminder {id_}" if id_ else f"reminders of {tenant}"
    console().print(fields(title, {name: value for name, value in shown.items() if value is not None}))


def _path(id_: str) -> str:
    return f"/v1/reminders/{quote(id_, safe='')}"


def _get(path: str, query: Mapping[str, str | int], state_dir: Path | None) -> dict[str, Any]:
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["reminders:read"]) as client:
        return answer(client.get(path, params=dict(query)))


def _post(path: str, tenant: str, state_dir: Path | None) -> dict[str, Any]:
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["reminders:write"]) as client:
        return answer(client.post(path, json={"tenant": tenant}))


def _when(reminder: Mapping[str, Any]) -> str:
    return f"{reminder.get('cron') or ', '.join(reminder['timesOfDay'])} {reminder['timeZone']}"


def _next(found: Mapping[str, Any]) -> str:
    return _minute(found["nextRunTime"]) if found.get("nextRunTime") else str(found.get("state", "never")).lower()


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _tell(what: str, reminder: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(reminder)
    else:
        console().print(f"[green]{what}[/] {reminder['id']}: {_when(reminder)}, next {_next(reminder)}")
