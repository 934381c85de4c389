"""`tocsin version`: of this command, and of each part of a mesh that is up."""

import sys
from typing import Any

import typer

from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(version)


def version(
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Print the version of this command and, where a mesh is up, those of its parts."""
    from services.cli.runtime.errors import RuntimeProblem
    from services.cli.runtime.instance import running_instance
    from services.cli.runtime.state import StateDir, state_dir_path
    from services.cli.runtime.status import read_reports
    from services.cli.version import tocsin_version

    state = StateDir(state_dir_path(state_dir))
    mesh: dict[str, Any] | None = None
    try:
        if state.in_use:
            parts = {part.name: part.version for part in read_reports(state)}
            mesh = {"version": running_instance(state).version, "parts": parts}
    except RuntimeProblem as problem:
        # What this command is can be told all the same.
        print(f"tocsin: {problem.message}", file=sys.stderr)
    if json:
        print_json({"version": tocsin_version(), "mesh": mesh})
        return
    print(f"tocsin {tocsin_version()}")
    if mesh is not None:
        console().print(fields(f"mesh {mesh['version']}", mesh["parts"]))
