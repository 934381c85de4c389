"""`tocsin alert`: report a video alert and follow it."""

import time
from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption, finite
from services.cli.output import JsonOption, console, fields, print_json

_POLL_SECONDS = 0.2
_FINAL = ("PROBED", "FAILED")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(alert)


def alert(
    uid: Annotated[str, typer.Argument(help="The camera system's id of the alert, its idempotency key.")],
    video: Annotated[str, typer.Argument(help="Path on the configured video server, for example /videos/a.mp4.")],
    store: Annotated[str, typer.Option(help="Store where the camera stands.")] = "store-1",
    timestamp: Annotated[
        float | None, typer.Option(callback=finite, help="Seconds since the Unix epoch; now by default.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the probe; 0 to return at once.")] = 10.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether it would be accepted; nothing is stored or probed.")
    ] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Report a video alert; its video is probed for width and height."""
    from services.cli.client import answer, open_mesh

    body = {"uid": uid, "video": video, "store": store, "timestamp": time.time() if timestamp is None else timestamp}
    with open_mesh(state_dir).http(scopes=["alerts:write", "videos:read"]) as client:
        if dry_run:
            tried: dict[str, Any] = answer(client.post("/v1/alerts", json=body | {"dryRun": True}))
            if json:
                print_json({"alert": tried, "video": None})
            elif tried.get("createTime"):
                console().print(f"alert {uid} is known already, with this content, and is {tried['state']}")
            else:
                console().print(f"alert {uid} would be accepted")
            return
        state: dict[str, Any] = answer(client.post("/v1/alerts", json=body))
        deadline = time.monotonic() + wait
        while state["state"] not in _FINAL and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            state = answer(client.get(f"/v1/alerts/{uid}"))
        result = answer(client.get(f"/v1/videos/{uid}")) if state["state"] in _FINAL else None
    if json:
        print_json({"alert": state, "video": result})
    elif result is None:
        console().print(f"alert {uid} is {state['state']}")
    elif result["state"] == "PROBED":
        shown = {
            "size": f"{result['width']} x {result['height']}",
            "codec": f"{result['codec']} in {result['container']}",
            "duration": result.get("duration"),
            "fetched": f"{int(result['bytesFetched']):,} bytes in {result['requests']} request(s)",
        }
        console().print(fields(f"video of {uid}", shown))
    if result is not None and result["state"] == "FAILED":
        raise CommandError(f"the video of {uid} could not be probed: {result['failure']}: {result.get('message', '')}")
