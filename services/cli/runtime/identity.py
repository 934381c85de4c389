"""Which user PostgreSQL runs as: it refuses to be root, and the files may stand where others cannot go.

An ordinary user runs it as himself. Root hands it to an unprivileged user. When a directory above the binaries or
the data is closed to that user (a checkout under /root, say), the process keeps exactly one capability: the one
that lets it walk through (and read), nothing else of root's. No permission of any existing directory is changed.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from services.cli.runtime.errors import RuntimeProblem

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAP_SETPCAP = 8
# `nobody` exists everywhere; an installed PostgreSQL brings a user of its own that fits better.
_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Identity:
    """User and group of a child, and the capability that it keeps (None: none)."""

    uid: int
    gid: int
    capability: int | None = None

    def as_argument(self) -> str:
        """The form that the launcher takes."""
        return f"{self.uid}:{self.gid}:{'' if self.capability is None else self.capability}"


def postgres_identity(data_dir: Path, *needed: Path) -> Identity | None:
    """The identity for PostgreSQL, or None where the caller may run it as himself.

    `needed` are files and directories that the process must reach besides `data_dir`. An existing data directory
    keeps its owner. Raises RuntimeProblem when root lacks the powers that the hand-over takes.
    """
    if os.geteuid() != 0:
        return None
    entry = _owner_of(data_dir) or _first_candidate()
    paths = [data_dir.absolute(), *needed]
    if all(_reachable(path, entry.pw_uid, entry.pw_gid) for path in paths):
        return Identity(entry.pw_uid, entry.pw_gid)
    return Identity(entry.pw_uid, entry.pw_gid, _walking_capability(paths))


def _owner_of(data_dir: Path) -> pwd.struct_passwd | None:
    try:
        uid = data_dir.stat().st_uid
    except FileNotFoundError:
        return None
    if uid == 0:
        return None
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise RuntimeProblem(f"{data_dir} belongs to user {uid}, who does not exist on this machine") from None


def _first_candidate() -> pwd.struct_passwd:
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise RuntimeProblem(f"PostgreSQL does not run as root, and no user {' or '.join(_CANDIDATES)} exists to run it as")


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the mode bits of every directory above `path`, links followed, let the user through."""
    return all(_may_search(parent, uid, gid) for parent in _parents(path))


def _parents(path: Path) -> Iterable[Path]:
    yield from path.absolute().parents
    yield from path.resolve().parents


def _may_search(directory: Path, uid: int, gid: int) -> bool:
    found = directory.stat()
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def _walking_capability(paths: Iterable[Path]) -> int:
    permitted = own_capabilities()
    # READ_SEARCH is the narrower one; containers often grant root only OVERRIDE.
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        # Handing one on takes the right to change what a process keeps.
        if permitted >> capability & 1 and permitted >> CAP_SETPCAP & 1:
            return capability
    raise RuntimeProblem(
        "PostgreSQL must run as an unprivileged user, who cannot reach "
        f"{', '.join(str(path) for path in paths)}; move the checkout or the state directory, or run as another user"
    )


def own_capabilities() -> int:
    """The permitted capabilities of this process that a child may still get, as a bit set."""
    sets: dict[str, int] = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("CapPrm", "CapBnd"):
            sets[name] = int(value, 16)
    return sets.get("CapPrm", 0) & sets.get("CapBnd", 0)
