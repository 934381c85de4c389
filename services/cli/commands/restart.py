"""`tocsin restart`: one part of a running mesh anew."""

from datetime import timedelta
from typing import Annotated

import typer

from services.cli.options import StateDirOption

_MARGIN = timedelta(seconds=5)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(restart)


def restart(
    part: Annotated[str, typer.Argument(help="Its name, as 'tocsin status' shows it.")],
    state_dir: StateDirOption = None,
) -> None:
    """Stop one part cleanly, start it again, and wait until it is healthy.

    Exit code: 0 when it is healthy again, 1 when it is not, 2 for an unknown part, 3 when no mesh is up.
    """
    from services.cli.client import open_mesh
    from services.cli.runtime.control import ask
    from services.cli.runtime.requests import RESTART, RESTART_BUDGET

    answer = ask(open_mesh(state_dir).state, RESTART, within=RESTART_BUDGET + _MARGIN, part=part)
    print(f"{part} is healthy again after {answer['seconds']:.1f} s (process {answer['pid']})")
