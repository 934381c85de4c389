"""PostgreSQL's part: a base backup by its low-level interface, as the moment at which it ends is ours to choose.

The rules that this follows: https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP
"""

import os
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from services.cli.backup.archive import ArchiveWriter
from services.cli.runtime.errors import RuntimeProblem

NAME = "postgres"
_SLOT = "tocsin_backup"
# What a server makes anew, or must not find. Of the first only the directory itself is kept.
_EMPTIED = frozenset({"pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"})
_OF_A_COPY = _EMPTIED | {"pg_wal", "pg_replslot"}
_LEFT_OUT = re.compile(
    r"postmaster\.(pid|opts)|backup_label(\.old)?|tablespace_map(\.old)?|pgsql_tmp.*|pg_internal\.init.*"
)
_CONTROL = Path("global/pg_control")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_START = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)", re.MULTILINE)


class BaseBackup:
    """A base backup under way. `copy`, then `end` at the moment that is to be restored, then `copy_journal`."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", data: Path) -> None:
        self._connection, self._data = connection, data
        self._segments: tuple[str, str] | None = None
        self._label = b""

    def copy(self, writer: ArchiveWriter) -> None:
        """The cluster's files, which the server may go on writing."""
        copy_files(writer, self._data, emptied=_OF_A_COPY)

    async def end(self, within: float) -> None:
        """What is committed now is in the backup, what is not committed yet is not."""
        row = await self._connection.fetchrow(
            "SELECT labelfile, pg_walfile_name(lsn) AS last FROM pg_backup_stop(false)", timeout=within
        )
        assert row is not None
        first = _START.search(row["labelfile"])
        assert first is not None, row["labelfile"]
        self._segments, self._label = (first[1], row["last"]), row["labelfile"].encode()

    def copy_journal(self, writer: ArchiveWriter) -> None:
        """What leads from the copied files to the moment of `end`."""
        assert self._segments is not None, "the backup has not ended"
        writer.content(f"{NAME}/backup_label", self._label)
        first, last = self._segments
        journal = self._data / "pg_wal"
        names = sorted(name for name in os.listdir(journal) if _SEGMENT.fullmatch(name) and first <= name <= last)
        if not names or names[0] != first or names[-1] != last:
            raise RuntimeProblem("PostgreSQL has removed a part of its journal that the backup needs; try again")
        for name in names:
            writer.file(f"{NAME}/pg_wal/{name}", journal / name)


@asynccontextmanager
async def base_backup(dsn: str, data: Path) -> AsyncGenerator[BaseBackup]:
    """Begins a backup, which ends with the block at the latest. Raises RuntimeProblem when another one is under way."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "tocsin-backup"})
    try:
        try:
            # It keeps the journal until it has been copied, and goes with the session.
            await connection.fetchval("SELECT pg_create_physical_replication_slot($1, true, true)", _SLOT)
        except asyncpg.DuplicateObjectError:
            raise RuntimeProblem("another backup of this mesh is under way") from None
        await connection.fetchval("SELECT pg_backup_start('tocsin', true)")
        yield BaseBackup(connection, data)
    finally:
        # A backup that has not ended is given up by this.
        connection.terminate()


def copy_files(writer: ArchiveWriter, data: Path, *, emptied: frozenset[str] = _EMPTIED) -> None:
    """The files of a cluster, without the content of the directories `emptied`; of a server that is down all that it
    needs, its journal among it. The control file comes last, as the server's own tool has it."""
    for name in _files(data, emptied):
        if (data / name).is_dir():
            writer.directory(f"{NAME}/{name.as_posix()}")
        else:
            writer.file(f"{NAME}/{name.as_posix()}", data / name)
    writer.file(f"{NAME}/{_CONTROL.as_posix()}", data / _CONTROL)


def _files(data: Path, emptied: frozenset[str]) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(data):
        inside = Path(folder).relative_to(data)
        yield inside
        if inside == Path("pg_tblspc") and (subfolders or names):
            raise RuntimeProblem("the cluster has tablespaces outside of its directory, which are not backed up")
        if inside.parts and inside.parts[0] in emptied:
            if inside.parts[0] == "pg_wal":
                yield Path("pg_wal/archive_status")
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not _LEFT_OUT.fullmatch(name))
        for name in sorted(names):
            if not _LEFT_OUT.fullmatch(name) and inside / name != _CONTROL:
                yield inside / name
