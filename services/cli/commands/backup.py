"""`tocsin backup` and `tocsin restore`: one archive of a mesh with servers of its own."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import StateDirOption
from services.cli.output import JsonOption, print_json


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    target: Annotated[str, typer.Argument(metavar="DIR|FILE", help="A directory, or a new file .tar or .tar.gz.")],
    longest_pause: Annotated[
        float, typer.Option(min=0.1, max=30, help="Seconds that services and NATS may stand still at a time.")
    ] = 3.0,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Write a backup of the mesh on a state directory: database, streams and secrets, of one moment.

    It may be up or down. While it is up, services and NATS stand still for a moment, usually some tenths of a second:
    calls wait, none fails. The file holds the secrets, and only you may read it. Servers of your own are not in it.
    """
    from services.cli.backup.create import back_up, place_of
    from services.cli.runtime.state import StateDir, state_dir_path

    state = StateDir(state_dir_path(state_dir))
    place = place_of(Path(target).absolute(), directory=target.endswith("/"))
    made = asyncio.run(back_up(state, place, timedelta(seconds=longest_pause)))
    if json:
        print_json(
            {
                "file": str(made.file),
                "bytes": made.size,
                "moment": made.moment.isoformat(),
                "stoodStillSeconds": None if made.stood_still is None else made.stood_still.total_seconds(),
            }
        )
        return
    still = "" if made.stood_still is None else f"; the mesh stood still for {made.stood_still.total_seconds():.2f} s"
    print(f"{made.file}: {made.size / 1024 / 1024:,.1f} MiB, of {_utc(made.moment.isoformat())}{still}")
    print("It holds the secrets of the mesh: keep it as safe as those.")


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="A file that 'tocsin backup' has written.")],
    check: Annotated[bool, typer.Option("--check", help="Read it to its end, and restore nothing.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Restore a backup into a new state directory; 'tocsin up' on it goes on from there.

    Refused: a directory that holds anything, an archive that is damaged, and one of a later version than this.
    """
    from services.cli.backup.restore import check_archive
    from services.cli.backup.restore import restore as restore_into
    from services.cli.runtime.state import StateDir, state_dir_path

    state = StateDir(state_dir_path(state_dir))
    found = check_archive(archive) if check else restore_into(archive, state)
    if json:
        print_json(
            {
                "checked": check,
                "version": found.version,
                "moment": found.moment,
                "files": found.files,
                "bytes": found.size,
            }
        )
        return
    said = (
        f"{found.files:,} files, {found.size / 1024 / 1024:,.1f} MiB, of Tocsin {found.version}, {_utc(found.moment)}"
    )
    if check:
        print(f"{archive} is whole: {said}")
        return
    print(f"restored into {state.root}: {said}")
    print(f"'{state.command('up')}' starts it; stop the mesh that it was made of first, if that is still up anywhere")


def _utc(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M:%S} UTC"
