"""Whose directory it is: Tocsin keeps its state in a directory of its own making or in an empty one, in no other."""

import os
import stat
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem

MARK = "TOCSIN"
_MARK_TEXT = "State of one Tocsin mesh: secrets, keys and data. 'tocsin status' and 'tocsin stop' work on it.\n"
# What every state directory holds; those of versions before the mark are known by it.
SUBDIRECTORIES = ("auth", "credentials", "logs", "run")
# The root of a file system of its own is empty all the same.
_NO_CONTENT = frozenset({"lost+found"})
# What an operator brings from the first host of a mesh to another.
_BROUGHT = frozenset({"secrets.json", "auth"})


def check_directory(root: Path) -> bool:
    """Whether the directory holds the state of a mesh; False when it is not there yet, is empty, or has only
    the secrets of another host. Changes nothing.

    Raises ConfigurationProblem when it is something else, belongs to somebody else, or others may write to it.
    """
    try:
        names = set(os.listdir(root)) - _NO_CONTENT
        found = root.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationProblem(f"state directory {root} cannot be used: {error.strerror}") from None
    ours = MARK in names or names.issuperset(SUBDIRECTORIES)
    brought = "secrets.json" in names and names <= _BROUGHT
    if names and not ours and not brought:
        raise ConfigurationProblem(
            f"{root} holds other things than a mesh (like {min(names)!r}) and was left as it is; name a new or an "
            f"empty directory with --state-dir, like {root / 'tocsin'}"
        )
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigurationProblem(
            f"{root} belongs to another user (id {found.st_uid}), so secrets are not safe there; run the mesh as that "
            "user, 'chown' it, or name a new directory with --state-dir"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationProblem(
            f"others may write to {root} (mode {stat.S_IMODE(found.st_mode):o}), so secrets are not safe there; "
            f"'chmod go-w' it, or name a new directory with --state-dir, like {root / 'tocsin'}"
        )
    return ours


def make_directory(root: Path, subdirectories: tuple[Path, ...]) -> None:
    """Makes what is missing and closes it to others; a directory that was there before keeps its permissions.

    Raises ConfigurationProblem.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = root / MARK
        if not mark.exists():
            # "x" follows no link.
            with mark.open("x") as file:
                file.write(_MARK_TEXT)
            mark.chmod(0o600)
        for directory in subdirectories:
            directory.mkdir(mode=0o700, exist_ok=True)
            # One that was moved to another disk and linked is the operator's.
            if not directory.is_symlink():
                directory.chmod(0o700)
    except OSError as error:
        raise ConfigurationProblem(f"state directory {root} cannot be used: {error.strerror}") from error
