"""`tocsin demo`: brings a mesh up and plays a real scenario through its edge."""

from typing import Annotated

import typer

from services.cli.options import StateDirOption


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    exit_: Annotated[
        bool, typer.Option("--exit", help="End after the scenario instead of leaving the mesh up.")
    ] = False,
    state_dir: StateDirOption = None,
    port: Annotated[int | None, typer.Option(help="Port of the edge. [env: TOCSIN_EDGE_PORT; default: 8080]")] = None,
) -> None:
    """Start a mesh and a small world around it, play a scenario over REST, and show what happened.

    The world (video server, mail server, receiver of webhooks) stays as long as the mesh: until Ctrl-C.
    """
    from services.cli.demo.play import run_demo

    run_demo(state_dir, port, exit_after=exit_)
