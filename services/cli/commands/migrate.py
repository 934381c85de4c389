"""`tocsin migrate`: prepares database and streams without starting services."""

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import CommandError
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json

if TYPE_CHECKING:
    from services.cli.runtime.preparation import Preparation
    from services.cli.runtime.settings import RuntimeSettings


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(migrate)


def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be done, and do nothing.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Bring the database and the streams up to date, without starting services.

    For own servers (TOCSIN_POSTGRES_DSN, TOCSIN_NATS_URL), and after an upgrade, while the mesh is down. The mesh's own
    servers run meanwhile. --dry-run works while it is up, too. 'tocsin up' does the same by itself.
    """
    from services.cli.runtime.settings import read_settings
    from services.cli.runtime.state import StateDir, state_dir_path

    root = state_dir_path(state_dir)
    settings = replace(read_settings(root, {}), only=frozenset({"postgres", "nats"}))
    state = StateDir(root)
    there = state.check()
    if there and state.in_use:
        if not dry_run:
            raise CommandError(
                f"a mesh is already up on {root}, and migrated when it started; after an upgrade call "
                f"'{state.command('stop')}' first, then migrate ('--dry-run' only reads, and works meanwhile)",
                exit_code=2,
            )
        from services.cli.runtime.up import look_into

        done = asyncio.run(look_into(settings))
    elif dry_run and not there:
        # Of a mesh that is not there yet nothing is to be left; what its servers would get, others show.
        with tempfile.TemporaryDirectory(prefix="tocsin-dry-run-") as elsewhere:
            done = _prepare(replace(settings, state_dir=Path(elsewhere) / "state"), dry_run=True)
    else:
        done = _prepare(settings, dry_run=dry_run)
    migrations = {service: names for service, names in done.migrations.items() if names}
    if json:
        print_json({"dryRun": dry_run, "migrations": migrations, "streams": done.streams})
        return
    out = console()
    if not migrations and not done.streams:
        out.print("[green]nothing to do[/]: database and streams are up to date")
        return
    rows = {service: "\n".join(names) for service, names in migrations.items()}
    out.print(fields("", {**rows, "streams": "\n".join(done.streams)}))
    count = sum(map(len, migrations.values()))
    said = "would be" if dry_run else "were"
    out.print(f"[green]{count} migrations {said} applied, {len(done.streams)} streams {said} made or changed[/]")


def _prepare(settings: "RuntimeSettings", *, dry_run: bool) -> "Preparation":
    from services.cli.runtime.preparation import Preparation
    from services.cli.runtime.reporter import SilentReporter
    from services.cli.runtime.up import run_mesh

    done = Preparation(dry_run=dry_run)
    asyncio.run(run_mesh(settings, SilentReporter(), lambda _, stop: stop(), done))
    return done
