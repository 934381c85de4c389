"""`tocsin notifications`: what users were told, what they have read of it, and what was given up."""

from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.notification_migration import migrate
from services.cli.options import StateDirOption, ago, one_of
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="List, count, mark and retry notifications.", no_args_is_help=True)

_STATUSES = ("PENDING", "SENT", "FAILED")
_COLOURS = {"PENDING": "yellow", "SENT": "green", "FAILED": "red"}

TenantOption = Annotated[str, typer.Option(help="Tenant whose notifications they are.")]
UserOption = Annotated[str, typer.Option(help="Only of this user.")]
SinceOption = Annotated[str, typer.Option(help="Only those accepted within this time until now: 12h, 7d.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(migrate)
    root.add_typer(app, name="notifications")


@app.command("list")
def list_(
    tenant: TenantOption = "test",
    user: UserOption = "",
    status: Annotated[str, typer.Option(help="Only PENDING, SENT or FAILED.")] = "",
    since: SinceOption = "",
    limit: LimitOption = 20,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List notifications, the newest first."""
    wanted = one_of(status, _STATUSES, "--status")
    query = {"tenant": tenant, "user": user, "status": wanted, "from": ago(since, "--since")}
    _show_list({**query, "pageSize": str(limit), "view": "BASIC"}, "no notifications", json=json, state_dir=state_dir)


@app.command()
def unread(
    user: Annotated[str, typer.Argument(help="User who has not read them.")],
    tenant: TenantOption = "test",
    limit: LimitOption = 20,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List what a user was sent and has not read, the newest first."""
    query = {"tenant": tenant, "user": user, "unread": "true", "pageSize": str(limit), "view": "BASIC"}
    _show_list(query, f"[green]{user} has read everything[/]", json=json, state_dir=state_dir)


def _show_list(query: dict[str, str], nothing: str, *, json: bool, state_dir: Any) -> None:
    from rich.text import Text

    from services.cli.client import answer, open_mesh

    given = {name: value for name, value in query.items() if value}
    with open_mesh(state_dir).http(scopes=["notifications:read"]) as client:
        page: dict[str, Any] = answer(client.get("/v1/notifications", params=given))
    found: list[dict[str, Any]] = page.get("notifications", [])
    if json:
        print_json(found)
        return
    if not found:
        console().print(nothing)
        return
    rows = [
        (
            one["createTime"][:19].replace("T", " "),
            Text(one["status"], style=_COLOURS.get(one["status"], "")),
            one["user"],
            one["type"],
            one["channel"],
            f"{one['title']}\n{one['error']}" if one.get("error") and one["status"] != "SENT" else one["title"],
            one["id"],
        )
        for one in found
    ]
    columns = ("accepted (UTC)", "status", "user", "type", "channel", "title", "id")
    console().print(table("Notifications", columns, rows))
    if page.get("nextPageToken"):
        console().print("[dim]and more; --limit and the filters choose[/]")


@app.command()
def read(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Notifications that were read.")] = None,
    everything_of: Annotated[str, typer.Option("--all-of", help="Everything that this user was sent.")] = "",
    opened: Annotated[bool, typer.Option("--opened", help="They were opened (followed), too.")] = False,
    tenant: TenantOption = "test",
    state_dir: StateDirOption = None,
) -> None:
    """Mark notifications read, one by one or everything of a user."""
    from urllib.parse import quote

    from services.cli.client import answer, open_mesh

    if bool(ids) == bool(everything_of) or (everything_of and opened):
        raise CommandError("name notifications by ID, or a user with --all-of (without --opened)", exit_code=2)
    with open_mesh(state_dir).http(scopes=["notifications:write"]) as client:
        if everything_of:
            body = {"tenant": tenant, "user": everything_of}
            marked = answer(client.post("/v1/notifications:markAllRead", json=body)).get("marked", 0)
            console().print(f"{marked} marked read")
            return
        verb = "markOpened" if opened else "markRead"
        for id_ in ids or ():
            answer(client.post(f"/v1/notifications/{quote(id_, safe='')}:{verb}", json={"tenant": tenant}))
    console().print(f"{len(ids or ())} marked {'opened' if opened else 'read'}")


@app.command()
def retry(
    tenant: TenantOption = "test",
    user: UserOption = "",
    type_: Annotated[str, typer.Option("--type", help="Only ALERT, REMINDER or INFO.")] = "",
    channel: Annotated[str, typer.Option(help="Only CONSOLE, EMAIL, WEBHOOK or FCM.")] = "",
    older_than: Annotated[str, typer.Option(help="Only those accepted at least so long ago: 1h.")] = "",
    since: SinceOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count them, and change nothing.")] = False,
    state_dir: StateDirOption = None,
) -> None:
    """Take up again what was given up (FAILED): all that the filters match."""
    from services.cli.client import answer, open_mesh

    query = {
        "tenant": tenant,
        "user": user,
        "type": type_.upper(),
        "channel": channel.upper(),
        "from": ago(since, "--since"),
        "to": ago(older_than, "--older-than"),
    }
    body: dict[str, Any] = {name: value for name, value in query.items() if value}
    retried, more = 0, True
    with open_mesh(state_dir).http(scopes=["notifications:write"]) as client:
        while more:
            outcome = answer(client.post("/v1/notifications:retry", json={**body, "dryRun": dry_run}))
            retried, more = retried + outcome.get("retried", 0), outcome.get("more", False)
            if dry_run:
                console().print(f"{retried}{' or more' if more else ''} would be taken up again")
                return
    console().print(f"{retried} taken up again")


@app.command()
def stats(
    tenant: TenantOption = "test",
    since: SinceOption = "",
    by: Annotated[str, typer.Option(help="A line for each hour or day, too.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show the figures of a tenant's notifications."""
    from services.cli.client import answer, open_mesh
    from services.cli.sparkline import sparkline

    interval = by.upper()
    if interval not in ("", "HOUR", "DAY"):
        raise CommandError(f"--by is hour or day, not {by!r}", exit_code=2)
    query = {"tenant": tenant, "from": ago(since, "--since"), "interval": interval}
    with open_mesh(state_dir).http(scopes=["notifications:read"]) as client:
        given = {name: value for name, value in query.items() if value}
        found: dict[str, Any] = answer(client.get("/v1/notifications:statistics", params=given))
    if json:
        print_json(found)
        return
    figures: dict[str, Any] = found["figures"]
    counts: dict[str, Any] = figures["counts"]
    shown = {
        "total": counts.get("total", 0),
        **{name: counts.get(name, 0) for name in ("sent", "pending", "failed")},
        "success": _share(figures.get("successRate")),
        "opened": f"{figures.get('opened', 0)} ({_share(figures.get('openRate'))} of the sent)",
        "accepted to sent": _times(figures),
        "types": _list(figures.get("types", ()), "type"),
        "channels": _list(figures.get("channels", ()), "channel"),
    }
    console().print(fields(f"Notifications of {tenant}", shown))
    if not interval:
        return
    points: list[dict[str, Any]] = found.get("series", [])
    console().print(sparkline([float(point["figures"]["counts"].get("total", 0)) for point in points]))
    rows = [
        (
            point["start"][: 13 if interval == "HOUR" else 10].replace("T", " "),
            *(point["figures"]["counts"].get(name, 0) for name in ("total", "sent", "failed")),
            _share(point["figures"].get("openRate")),
            _times(point["figures"]),
        )
        for point in points
    ]
    columns = (f"{interval.lower()} (UTC)", "total>", "sent>", "failed>", "opened>", "accepted to sent")
    console().print(table("", columns, rows))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _times(figures: dict[str, Any]) -> str:
    mean, most = figures.get("meanDelivery"), figures.get("p95Delivery")
    return "-" if mean is None else f"{_seconds(mean)} on average, {_seconds(most or mean)} for 95 %"


def _seconds(text: str) -> str:
    seconds = float(text.removesuffix("s"))
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _list(counts: Any, name: str) -> str:
    return ", ".join(f"{one[name]} {one['count']}" for one in counts)
