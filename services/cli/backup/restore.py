"""Restores a backup into a directory that holds nothing yet."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from services.cli.backup.archive import FORMAT, damaged, opened_archive
from services.cli.backup.base_backup import NAME as POSTGRES
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.identity import postgres_identity
from services.cli.runtime.ownership import MARK
from services.cli.runtime.postgres_binaries import find_postgres
from services.cli.runtime.state import StateDir
from services.cli.version import tocsin_version

_UNFINISHED = ".restoring"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What an archive holds; it has been read to its end."""

    version: str
    moment: str
    files: int
    size: int


def check_archive(archive: Path) -> Restored:
    """Reads an archive to its end without restoring it. Raises RuntimeProblem when it is damaged or newer than this."""
    with opened_archive(archive) as (header, members):
        _check_header(archive, header)
        files = size = 0
        for _, member, _ in members:
            files += member.isreg()
            size += member.size
    return _restored(header, files, size)


def restore(archive: Path, state: StateDir) -> Restored:
    """Makes the state directory what the archive holds. Raises RuntimeProblem when the directory holds anything, and
    when the archive is damaged or newer than this; the directory is as before then."""
    _check_empty(state)
    with opened_archive(archive) as (header, members):
        _check_header(archive, header)
        _check_postgres(header)
        with _unfinished(state.root) as unfinished:
            files = size = 0
            for name, member, stream in members:
                _put(unfinished, name, member, stream, archive)
                files += member.isreg()
                size += member.size
            if not (unfinished / MARK).is_file() or not (unfinished / POSTGRES / "PG_VERSION").is_file():
                raise damaged(archive, "it does not hold a mesh")
            _give_to_postgres(state, unfinished / POSTGRES)
            os.sync()
            # The mark last: the directory is a mesh's when it is whole.
            for path in sorted(unfinished.iterdir(), key=lambda path: path.name == MARK):
                path.rename(state.root / path.name)
    return _restored(header, files, size)


def _restored(header: dict[str, Any], files: int, size: int) -> Restored:
    return Restored(
        version=str(header.get("tocsin", "")),
        # Earlier archives tell when they were begun.
        moment=str(header.get("moment") or header.get("createdAt", "")),
        files=files,
        size=size,
    )


def _check_empty(state: StateDir) -> None:
    used = state.check()
    if used or (state.root.exists() and any(name != "lost+found" for name in os.listdir(state.root))):
        raise ConfigurationProblem(
            f"{state.root} is not empty, and was left as it is; restore into a new directory with --state-dir, or move "
            "what is there away first"
        )


def _check_header(archive: Path, header: dict[str, Any]) -> None:
    version = str(header.get("tocsin", ""))
    if not isinstance(header.get("format"), int) or header["format"] > FORMAT or is_newer(version, tocsin_version()):
        raise RuntimeProblem(
            f"{archive} was made by Tocsin {version}, which is newer than this ({tocsin_version()}): restore it with "
            "that version or a later one"
        )


def is_newer(one: str, other: str) -> bool:
    """Whether a version comes after another; one in development comes before its release."""
    return _order(one) > _order(other)


def _order(version: str) -> tuple[int, int, int, bool]:
    found = _VERSION.match(version)
    if found is None:
        return (0, 0, 0, False)
    return (int(found[1]), int(found[2]), int(found[3] or 0), not found[4])


def _check_postgres(header: dict[str, Any]) -> None:
    wanted, program = str(header.get("postgresMajor", "")), find_postgres().postgres
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", told)
    if found is None or found[1] != wanted:
        raise RuntimeProblem(
            f"the backup is of PostgreSQL {wanted}, and the programs here are {told.strip() or 'of no known version'}; "
            "name those of that version with TOCSIN_POSTGRES_BIN_DIR"
        )


@contextmanager
def _unfinished(root: Path) -> Generator[Path]:
    """A directory in the state directory for what is not whole yet; when the block fails nothing is left of it, nor of
    a state directory that was not there before."""
    there = root.exists()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = root / _UNFINISHED
        path.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationProblem(f"state directory {root} cannot be used: {error.strerror}") from error
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        if not there:
            shutil.rmtree(root, ignore_errors=True)
        raise
    path.rmdir()


def _put(root: Path, name: str, member: tarfile.TarInfo, stream: IO[bytes] | None, archive: Path) -> None:
    path = root / PurePosixPath(name)
    try:
        for folder in reversed((path if stream is None else path.parent, *path.parents)):
            if folder.is_relative_to(root):
                folder.mkdir(mode=0o700, exist_ok=True)
        if stream is None:
            return
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            shutil.copyfileobj(stream, file, 1024 * 1024)
    except FileExistsError:
        raise damaged(archive, f"it holds {member.name} twice") from None
    except OSError as error:
        raise RuntimeProblem(f"{path} cannot be written: {error.strerror}; nothing was restored") from error


def _give_to_postgres(state: StateDir, data: Path) -> None:
    """As root the server runs as another user, whose the cluster has to be."""
    identity = postgres_identity(state.postgres.absolute(), find_postgres().postgres)
    if identity is None:
        return
    for folder, _, names in os.walk(data):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(path, identity.uid, identity.gid)
