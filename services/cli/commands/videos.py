"""`tocsin videos`: what probes of videos have found, another try for those that failed, and a probe now."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, one_of
from services.cli.output import JsonOption, console, fields, print_json, table

app = typer.Typer(help="List, show, retry and make probes of videos.", no_args_is_help=True)

_STATES = ("PROBED", "FAILED", "RETRYING")


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="videos")


@app.command("list")
def list_(
    store: Annotated[str, typer.Option(help="Only of alerts of this store.")] = "",
    state: Annotated[str, typer.Option(help=f"Only in this state: {', '.join(_STATES)}.")] = "",
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="Only of alerts from then on (RFC 3339).")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Only of alerts before then.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """List the videos of alerts, newest first."""
    from services.cli.client import answer, open_mesh

    wanted = {"store": store, "state": one_of(state, _STATES, "--state"), "from": since, "to": until}
    query = wanted | {"pageSize": str(limit)}
    given = {name: value for name, value in query.items() if value}
    with open_mesh(state_dir).http(scopes=["videos:read"]) as client:
        page: dict[str, Any] = answer(client.get("/v1/videos", params=given))
    found: list[dict[str, Any]] = page.get("videos", [])
    if json:
        print_json(found)
    elif not found:
        console().print("no videos")
    else:
        rows = [(one["uid"], one["state"], one.get("store", ""), f"{one['video']}\n{_told(one)}") for one in found]
        console().print(table("Videos", ("alert", "state", "store", "video, what is known"), rows))
        if page.get("nextPageToken"):
            console().print(f"there are more: --limit {limit * 2}, --store, --state")


@app.command()
def show(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Of the alert.")],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show what is known of the video of an alert."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["videos:read"]) as client:
        found: dict[str, Any] = answer(client.get(f"/v1/videos/{quote(uid, safe='')}"))
    if json:
        print_json(found)
    else:
        console().print(fields(f"video of {uid}", found))


@app.command()
def history(
    uid: Annotated[str, typer.Argument(metavar="UID", help="Of the alert.")],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Show what has happened to an alert: each attempt at its video, and who was told."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["alerts:read"]) as client:
        found: dict[str, Any] = answer(client.get(f"/v1/alerts/{quote(uid, safe='')}/history"))
    if json:
        print_json(found)
        return
    rows = [(one["time"], one["kind"], _happened(one)) for one in found.get("entries", [])]
    console().print(table(f"alert {uid}", ("time", "what", "attempt, reason, who"), rows))
    if found.get("missing"):
        console().print(f"[yellow]not answered, so there may be more:[/] {', '.join(found['missing'])}")


@app.command()
def probe(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A path on the video server, or a URL.")],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Probe a video now, and keep nothing of it. Exit code 1 when it cannot be probed."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["videos:write"], timeout=60) as client:
        found: dict[str, Any] = answer(client.post("/v1/videos:probe", json={"video": video}))
    if json:
        print_json(found)
    else:
        console().print(fields(video, {name: value for name, value in found.items() if name != "video"}))
    if found["state"] != "PROBED":
        raise CommandError(f"{video}: {_told(found)}")


@app.command()
def retry(
    uids: Annotated[list[str] | None, typer.Argument(metavar="[UID]...")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that have failed.")] = False,
    store: Annotated[str, typer.Option(help="With --all: only of alerts of this store.")] = "",
    state_dir: StateDirOption = None,
) -> None:
    """Probe videos that have failed again: those of the alerts that are named, or all."""
    from services.cli.client import answer, open_mesh

    if everything == bool(uids) or (uids and store):
        raise CommandError("retry takes UIDs, or --all", exit_code=2)
    with open_mesh(state_dir).http(scopes=["videos:read", "videos:write"]) as client:
        query = {"state": "FAILED", "pageSize": "1000"} | ({"store": store} if store else {})
        named = list(uids or [])
        while everything:
            page: dict[str, Any] = answer(client.get("/v1/videos", params=query))
            named += [one["uid"] for one in page.get("videos", [])]
            query["pageToken"] = page.get("nextPageToken", "")
            if not query["pageToken"]:
                break
        for uid in named:
            answer(client.post(f"/v1/videos/{quote(uid, safe='')}:retry", json={}))
            if not everything:
                console().print(f"{uid} [green]is probed again[/]")
    if everything:
        console().print(f"{len(named):,} [green]are probed again[/]")


def _happened(entry: dict[str, Any]) -> str:
    """In one line."""
    number = f"attempt {entry['attempt']}" if entry.get("attempt") else ""
    who = f"{entry['origin']} (subscription {entry['subscription']})" if entry.get("subscription") else ""
    reason = ": ".join(filter(None, (entry.get("reason", ""), entry.get("message", ""))))
    return ", ".join(filter(None, (number, who, reason)))


def _told(video: dict[str, Any]) -> str:
    """In one line."""
    if video["state"] == "PROBED":
        size = f"{video['width']}x{video['height']}"
        turned = f"turned by {video['rotation']}" if video.get("rotation") else ""
        return ", ".join(filter(None, (size, video.get("codec", ""), video.get("container", ""), turned)))
    return f"{video.get('failure', '')}: {video.get('message', '')}"
