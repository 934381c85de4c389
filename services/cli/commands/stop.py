"""`tocsin stop`: ends a mesh, wherever it was started."""

import time
from typing import Annotated

import typer

from services.cli.options import StateDirOption


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(stop)


def stop(
    state_dir: StateDirOption = None,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds to wait for the end.")] = 60,
) -> None:
    """Stop the mesh and wait until everything is down; a second 'tocsin stop' meanwhile kills what is still there.

    Exit code: 0 when it is down, 1 when it is not within --timeout, 3 when no mesh is up.
    """
    from services.cli.runtime.state import StateDir, state_dir_path
    from services.cli.runtime.stop import stop_mesh

    begun = time.monotonic()
    state = StateDir(state_dir_path(state_dir))
    stop_mesh(state, timeout)
    print(f"Tocsin is down, after {time.monotonic() - begun:.1f} s")
