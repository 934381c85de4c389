"""How much room there is on the disk of a mesh, and what JetStream's streams may take of it."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem

if TYPE_CHECKING:
    from services.chassis.nats.topology import TopologyOptions

MIB = 1024 * 1024
LEAST_FREE_BYTES = 768 * MIB
"""What a new mesh needs: PostgreSQL's cluster and journal, the smallest streams, logs."""
LEAST_ROOM_BYTES = 16 * MIB
"""With less free neither PostgreSQL nor JetStream can be sure to write: that is one segment of a journal."""
# Half of the disk at most is for streams, a quarter for PostgreSQL's journal; the rest for what the tables keep.
_SHARE_OF_STREAMS, _SHARE_OF_JOURNAL = 2, 4
_LEAST_JOURNAL_BYTES, _MOST_JOURNAL_BYTES = 128 * MIB, 4096 * MIB


def free_bytes(directory: Path) -> int:
    """What may still be written to the disk of the directory, or of the nearest one above it that exists."""
    while not directory.exists():
        directory = directory.parent
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def require_room(directory: Path) -> None:
    """Raises ConfigurationProblem when a new mesh with its state in `directory` would not fit onto the disk."""
    if (free := free_bytes(directory)) < LEAST_FREE_BYTES:
        raise ConfigurationProblem(
            f"a mesh needs {LEAST_FREE_BYTES // MIB:,} MiB of free disk, and there are {free // MIB:,} MiB for the "
            f"state directory {directory}; free some, or name another with --state-dir"
        )


@contextmanager
def needing_room(directory: Path) -> Generator[None]:
    """Says of a failure on a full disk that this is so, as a RuntimeProblem: a start that cannot write its small files,
    or whose servers cannot."""
    try:
        yield
    except RuntimeProblem as error:
        if free_bytes(directory) >= LEAST_ROOM_BYTES:
            raise
        raise RuntimeProblem(f"{_full(directory)}\n{error.message}", error.exit_code) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RuntimeProblem(_full(directory)) from error


def _full(directory: Path) -> str:
    free = free_bytes(directory) // 1024
    return f"the disk of the state directory {directory} is full ({free:,} KiB are free): free some, then start again"


def streams_on_disk(options: "TopologyOptions", store: Path) -> "tuple[TopologyOptions, str]":
    """`options` with streams that fit onto the disk of JetStream's directory `store`, and a word on it where they are
    smaller than by default.

    Half of the room is theirs; room is what is free and what they hold already.
    """
    from services.chassis.nats.topology import fitted, mebibytes, stream_bytes

    free = free_bytes(store)
    fitting = fitted(options, (free + _held_bytes(store)) // _SHARE_OF_STREAMS)
    sums = [sum(stream_bytes(each).values()) for each in (options, fitting)]
    if sums[0] == sums[1]:
        return options, ""
    return fitting, (
        f"streams may take {mebibytes(sums[1])} in place of {mebibytes(sums[0])}, as {mebibytes(free)} of disk are free"
    )


def journal_settings(cluster: Path) -> dict[str, str]:
    """How large PostgreSQL's journal may grow between checkpoints, on the disk of the cluster's directory."""
    room = free_bytes(cluster) + _held_bytes(cluster / "pg_wal")
    most = min(max(room // _SHARE_OF_JOURNAL, _LEAST_JOURNAL_BYTES), _MOST_JOURNAL_BYTES) // MIB
    return {"max_wal_size": f"{most}MB", "min_wal_size": f"{min(256, most // 2)}MB"}


def _held_bytes(store: Path) -> int:
    held = 0
    for folder, _, names in os.walk(store):
        for name in names:
            try:
                held += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:  # a running server removes blocks of messages that are done
                continue
    return held
