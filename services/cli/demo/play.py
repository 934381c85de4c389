"""Runs the demo: the world outside, the mesh, the scenario; then leaves the mesh up, or ends it."""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from services.chassis.tasks import cancel
from services.cli.demo.world import World, open_world
from services.cli.errors import CommandError
from services.cli.output import console
from services.cli.runtime.instance import Instance
from services.cli.runtime.settings import RuntimeSettings, read_settings
from services.cli.runtime.state import StateDir, state_dir_path

if TYPE_CHECKING:
    from rich.console import Console

_REQUEST_SECONDS = 30.0
_ALLOWED_TARGETS = "TOCSIN_NOTIFICATION_ALLOWED_TARGETS"
_CHECK_ORIGINS = "TOCSIN_NOTIFICATION_REMINDER_CHECK_ORIGINS"


def run_demo(state_dir: Path | None, port: int | None, *, exit_after: bool) -> None:
    """Plays the demo in the foreground; raises CommandError when a step did not come out as it should."""
    from services.cli.runtime.up import check_start

    settings = read_settings(state_dir_path(state_dir), {"edge": port})
    check_start(settings)
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        asyncio.run(_run(settings, Path(folder), exit_after=exit_after))


def world_environment(world: World, own: Mapping[str, str]) -> dict[str, str]:
    """What the services must be told about the world outside; `own` is what they are told anyway. The receiver of
    webhooks is on loopback, where none is allowed by itself: its origin is added to what the operator allows."""
    allowed = [own.get(_ALLOWED_TARGETS, ""), world.webhook_origin]
    checks = [own.get(_CHECK_ORIGINS, ""), world.webhook_origin]
    return {
        "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": world.video_server,
        _ALLOWED_TARGETS: ",".join(filter(None, allowed)),
        _CHECK_ORIGINS: ",".join(filter(None, checks)),
        "TOCSIN_NOTIFICATION_SMTP_HOST": "127.0.0.1",
        "TOCSIN_NOTIFICATION_SMTP_PORT": str(world.smtp_port),
    }


async def _run(settings: RuntimeSettings, folder: Path, *, exit_after: bool) -> None:
    from services.cli.demo.videos import make_videos
    from services.cli.runtime.banner import print_addresses, print_goodbye, print_healthy
    from services.cli.runtime.console import ConsoleReporter
    from services.cli.runtime.up import run_mesh

    out = console()
    reporter = ConsoleReporter(out)
    videos = await asyncio.to_thread(make_videos, folder)
    failures: list[BaseException] = []
    playing: list[asyncio.Task[None]] = []
    async with open_world(folder) as world:
        told = replace(settings, passed_on={**settings.passed_on, **world_environment(world, settings.passed_on)})

        def on_ready(instance: Instance, stop: Callable[[], None]) -> None:
            reporter.all_ready()
            print_healthy(out)

            async def play() -> None:
                try:
                    await _play(out, told, world, videos)
                except Exception as error:
                    failures.append(error)
                if exit_after or failures:
                    stop()
                else:
                    out.print()
                    print_addresses(out, instance, StateDir(settings.state_dir))
                    out.print(
                        f"[dim]Around it: videos at {world.video_server}/videos/, mail on port {world.smtp_port}.[/]"
                    )

            playing.append(asyncio.create_task(play(), name="scenario"))

        try:
            await run_mesh(told, reporter, on_ready)
        finally:
            await cancel(*playing)
    print_goodbye(out)
    if exit_after and not failures:
        up = StateDir(settings.state_dir).command("up")
        out.print(
            f"What it stored stays: '{up}' starts a mesh on it, without --exit the demo stays up.",
            markup=False,
            soft_wrap=True,
        )
    if failures:
        logs = StateDir(settings.state_dir).command("logs --level warning")
        raise CommandError(f"the demo broke off: {_described(failures[0])}; '{logs}' may tell why") from failures[0]


def _described(error: BaseException) -> str:
    """An error in a line; those that are not told in words by their names too."""
    text = " ".join(str(error).split())
    return (
        text if text and isinstance(error, (CommandError, TimeoutError)) else f"{type(error).__name__} {text}".strip()
    )


async def _play(out: "Console", settings: RuntimeSettings, world: World, videos: dict[str, tuple[int, int]]) -> None:
    import httpx
    from rich.padding import Padding

    from services.chassis.ids import new_id
    from services.cli.client import open_mesh
    from services.cli.demo.downstream import Downstream
    from services.cli.demo.edge import Edge
    from services.cli.demo.scenario import Scenario

    mesh = open_mesh(settings.state_dir)
    headers = {"authorization": f"Bearer {mesh.token()}"}
    async with (
        mesh.nats(downstream=True) as connection,
        httpx.AsyncClient(base_url=mesh.instance.edge_url, headers=headers, timeout=_REQUEST_SECONDS) as client,
    ):
        downstream = Downstream(connection, mesh.names)
        await downstream.start()
        # The last characters of an id are its random ones.
        scenario = Scenario(Edge(client), world, videos, run=new_id()[-6:])
        for number, (title, step) in enumerate(scenario.steps(), 1):
            try:
                with out.status(f"{title} ..."):
                    table = await step()
            except Exception as error:
                raise CommandError(f"step {number} ({title}): {_described(error)}") from error
            out.print(f"\n[bold]{number}. {title}[/]")
            out.print(Padding(table, (0, 0, 0, 3), expand=False))
        out.print("\n[bold]What a downstream team saw on NATS, with read-only credentials[/]")
        out.print(Padding(await downstream.summary(), (0, 0, 0, 3), expand=False))
