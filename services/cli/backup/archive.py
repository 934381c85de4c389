"""The archive: a tar, gzipped or not, that begins with what it is and ends with the digests of what it holds.

An archive that was cut short has no end, so it is known for damaged; so is one of which a byte has changed.
"""

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
import time
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeAlias

from services.cli.runtime.errors import RuntimeProblem

FORMAT = 1
"""Grows when an archive can no longer be read by an earlier version."""
HEADER, MANIFEST, STATE = "backup.json", "manifest.json", "state"
_COMPRESSION = 1
_CHUNK = 1024 * 1024
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError)

Member: TypeAlias = tuple[str, tarfile.TarInfo, IO[bytes] | None]
"""A name in the state directory, what is said of it, and its content where it is a file."""


class ArchiveWriter:
    """Writes members one after the other, `finish` last. Files that a server still writes are taken as they come: as
    many bytes as there were when they were opened, zeros in place of what was cut off since."""

    def __init__(self, output: IO[bytes] | gzip.GzipFile, header: dict[str, Any]) -> None:
        # `close` closes it.
        self._tar = tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._digests: dict[str, str] = {}
        self.moment: datetime | None = None
        """Of which what it holds is; to be known by `finish`."""
        self._add(HEADER, json.dumps({"format": FORMAT, **header}, indent=2).encode())

    def directory(self, name: str) -> None:
        """A directory of the state directory."""
        self._tar.addfile(_member(name, tarfile.DIRTYPE, 0))

    def content(self, name: str, content: bytes) -> None:
        """A file of the state directory with this content."""
        self._digests[name] = hashlib.sha256(content).hexdigest()
        self._tar.addfile(_member(name, tarfile.REGTYPE, len(content)), io.BytesIO(content))

    def file(self, name: str, source: Path) -> bool:
        """A file of the state directory; False when it is gone."""
        try:
            opened = source.open("rb")
        except FileNotFoundError:
            return False
        with opened:
            reader = _Exactly(opened, os.fstat(opened.fileno()).st_size)
            self._tar.addfile(_member(name, tarfile.REGTYPE, reader.size), reader)  # pyright: ignore[reportArgumentType] - only read() is called
        self._digests[name] = reader.digest
        return True

    def tree(self, name: str, source: Path) -> None:
        """A directory of the state directory with all that is in it."""
        for folder, subfolders, files in os.walk(source):
            subfolders.sort()
            inside = PurePosixPath(name) / Path(folder).relative_to(source).as_posix()
            self.directory(str(inside))
            for file in sorted(files):
                self.file(str(inside / file), Path(folder) / file)

    def finish(self) -> None:
        """Writes the digests, without which it is not whole."""
        moment = self.moment.isoformat() if self.moment else ""
        self._add(MANIFEST, json.dumps({"moment": moment, "sha256": self._digests}).encode())

    def close(self) -> None:
        """Ends it, whole or not."""
        self._tar.close()

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(content))


class _Exactly:
    """Reads `size` bytes of a file, however many it has by now."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.size = size
        self._file, self._left, self._hash = file, size, hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of all that was read."""
        return self._hash.hexdigest()

    def read(self, count: int) -> bytes:
        wanted = min(count, self._left)
        found = self._file.read(wanted)
        found += bytes(wanted - len(found))
        self._left -= wanted
        self._hash.update(found)
        return found


def _member(name: str, kind: bytes, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{STATE}/{name}")
    member.type, member.size, member.mtime = kind, size, int(time.time())
    # Whose it was on the one host means nothing on another.
    member.mode = 0o700 if kind == tarfile.DIRTYPE else 0o600
    return member


@contextmanager
def new_archive(path: Path, header: dict[str, Any]) -> Generator[ArchiveWriter]:
    """Writes an archive for the block, readable by the owner only; it is there when it is whole and on the disk, and
    nothing is there when the block fails. Raises RuntimeProblem when there is no room."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RuntimeProblem(f"{partial} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as raw:
            packed = path.name.endswith(".gz")
            output = gzip.GzipFile("", "wb", _COMPRESSION, raw) if packed else nullcontext(raw)
            with output as tar:
                writer = ArchiveWriter(tar, header)
                with closing(writer):
                    yield writer
                    writer.finish()
            raw.flush()
            os.fsync(raw.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RuntimeProblem(f"the disk of {path.parent} is full: the backup does not fit onto it") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def opened_archive(path: Path) -> "Generator[tuple[dict[str, Any], Iterator[Member]]]":
    """The header of an archive, and what is in it: names in the state directory, and what can be read of files. The end
    checks the digests of all that was read: what came before counts only when it is reached; the header has the
    `moment` then. Raises RuntimeProblem."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"  # pyright: ignore[reportAttributeAccessIssue] - a buffered reader
            with tarfile.open(fileobj=raw, mode="r|gz" if packed else "r|") as tar:
                header = _header(tar, path)
                yield header, _members(tar, path, header)
    except _BROKEN as error:
        raise damaged(path, str(error) or type(error).__name__) from error
    except OSError as error:
        if error.filename not in (None, str(path)):
            raise
        raise RuntimeProblem(f"{path} cannot be read: {error.strerror or error}") from error


def damaged(path: Path, why: str) -> RuntimeProblem:
    """What is told of an archive that is not whole."""
    return RuntimeProblem(f"{path} is damaged ({why}), or no backup of Tocsin; nothing was restored")


def _header(tar: tarfile.TarFile, path: Path) -> dict[str, Any]:
    first = tar.next()
    stream = tar.extractfile(first) if first is not None and first.name == HEADER else None
    if stream is None:
        raise damaged(path, f"it does not begin with {HEADER}")
    return _object(stream, path)


def _members(tar: tarfile.TarFile, path: Path, header: dict[str, Any]) -> "Iterator[Member]":
    read: dict[str, str] = {}
    while member := tar.next():
        stream = tar.extractfile(member) if member.isreg() else None
        if member.name == MANIFEST and stream is not None:
            manifest = _object(stream, path)
            if manifest.get("sha256") != read:
                raise damaged(path, "what it holds is not what was put into it")
            header["moment"] = manifest.get("moment")
            return
        name = member.name.removeprefix(f"{STATE}/")
        parts = PurePosixPath(name).parts
        if name == member.name or not parts or ".." in parts or not (member.isreg() or member.isdir()):
            raise damaged(path, f"it holds {member.name!r}")
        if stream is None:
            yield name, member, None
            continue
        hashing = _Exactly(stream, member.size)
        yield name, member, hashing  # pyright: ignore[reportReturnType] - only read() is called
        while hashing.read(_CHUNK):
            pass  # what was not read has its digest, too
        read[name] = hashing.digest
    raise damaged(path, "it has no end")


def _object(stream: IO[bytes], path: Path) -> dict[str, Any]:
    try:
        content = json.loads(stream.read())
    except ValueError:
        raise damaged(path, "it says in no JSON what it is") from None
    if not isinstance(content, dict):
        raise damaged(path, "it does not say what it is")
    return content  # pyright: ignore[reportUnknownVariableType] - keys of a JSON object are text
