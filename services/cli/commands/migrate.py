"""`tocsin migrate`: prepares database and streams without starting services."""

import asyncio
import shutil
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
    secrets: Annotated[
        Path | None,
        typer.Option(
            help="The secrets.json of a deployment ('tocsin deployment secrets'), in place of a state directory."
        ),
    ] = None,
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
    there = secrets is None and state.check()
    if secrets is not None:
        done = _prepare_deployment(settings, secrets, dry_run=dry_run)
    elif there and state.in_use:
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


def _prepare_deployment(settings: "RuntimeSettings", secrets: Path, *, dry_run: bool) -> "Preparation":
    """As `_prepare`, with the passwords in a file and with nothing to remember."""
    if not (settings.postgres_dsn and settings.nats_url):
        raise CommandError(
            "--secrets is for servers of yours: set TOCSIN_POSTGRES_DSN and TOCSIN_NATS_URL", exit_code=2
        )
    with tempfile.TemporaryDirectory(prefix="tocsin-migrate-") as elsewhere:
        state = Path(elsewhere) / "state"
        state.mkdir(mode=0o700)
        try:
            shutil.copyfile(secrets, state / "secrets.json")
        except OSError as error:
            raise CommandError(f"{secrets} cannot be read: {error.strerror}", exit_code=2) from None
        return _prepare(replace(settings, state_dir=state), dry_run=dry_run)


def _prepare(settings: "RuntimeSettings", *, dry_run: bool) -> "Preparation":
    from services.cli.runtime.preparation import Preparation
    from services.cli.runtime.reporter import SilentReporter
    from services.cli.runtime.up import run_mesh

    done = Preparation(dry_run=dry_run)
    asyncio.run(run_mesh(settings, SilentReporter(), lambda _, stop: stop(), done))
    return done
