"""`tocsin config`: what is set, and whether it can be used."""

from typing import Annotated

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption

app = typer.Typer(help="Judge the settings (docs/settings.md has all of them).", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    root.add_typer(app, name="config")


@app.callback()
def _group() -> None:
    """A group stays a group with a single command in it."""


@app.command()
def check(
    only: Annotated[str | None, typer.Option(help="Judge the settings of these parts only.")] = None,
    state_dir: StateDirOption = None,
) -> None:
    """Judge every setting in the environment, as 'tocsin up' does before it starts anything.

    Variables that nobody reads count as mistakes here. Exit code: 0 when all can be used, 2 when not.
    """
    from services.cli.configuration.check import problems, unknown_variables
    from services.cli.runtime.errors import ConfigurationProblem
    from services.cli.runtime.settings import parts_of, read_environment, read_settings
    from services.cli.runtime.state import state_dir_path

    found = unknown_variables(read_environment())
    try:
        settings = read_settings(state_dir_path(state_dir), {}, only=parts_of(only))
    except ConfigurationProblem as problem:
        found.append(problem.message)
    else:
        found += problems(settings)
    if found:
        raise CommandError("\ntocsin: ".join(found), exit_code=2)
    print("All settings can be used.")
