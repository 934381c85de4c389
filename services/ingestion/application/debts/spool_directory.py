"""Files on disk that hold the text of debt files.

In a directory of its own they outlive the process: what is kept there can be gone on with by the next process that sees
the directory, also another one that shares it. A lock of the system on each file tells whether somebody works on it; it
goes with its holder, however that ends. Without a directory files are the system's temporary ones, and go with the
process.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

_PART, _TEXT, _NOTE = ".part", ".text", ".json"
# A note is written and read by whoever has the text's lock: one that is cut short was left by a process that died.
_LOCKED: Final = fcntl.LOCK_EX | fcntl.LOCK_NB


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A text that its process has left: the file, locked, and what was noted of it."""

    file_id: str
    file: FileIO
    note: dict[str, Any]


class SpoolDirectory:
    """All methods block: call them on a thread."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def temporary(self) -> FileIO:
        """A new file, which is gone when it is closed unless it is kept. Raises OSError."""
        if self._directory is None:
            return tempfile.TemporaryFile(buffering=0)
        handle, name = tempfile.mkstemp(suffix=_PART, dir=self._directory)
        file = _Named(handle, "r+b")
        file.path = Path(name)
        fcntl.flock(file, _LOCKED)
        return file

    def keep(self, file: FileIO, file_id: str, note: dict[str, Any]) -> bool:
        """Keeps the file and the note, durably, until `remove`; False where there is no directory for it."""
        if not isinstance(file, _Named) or self._directory is None:
            return False
        assert file.path is not None
        os.fsync(file)
        os.rename(file.path, self._path(file_id, _TEXT))
        file.path = None
        with self._path(file_id, _NOTE).open("w") as written:
            json.dump(note, written)
            written.flush()
            os.fsync(written)
        _sync(self._directory)
        return True

    def remove(self, file_id: str) -> None:
        """Nothing happens when nothing is kept."""
        if self._directory is not None:
            for ending in (_TEXT, _NOTE):
                self._path(file_id, ending).unlink(missing_ok=True)

    def abandoned(self) -> Iterator[KeptFile]:
        """What is kept and nobody works on, each locked as soon as it comes. What dead processes have begun and not
        kept is removed."""
        for path in sorted(self._directory.iterdir()) if self._directory is not None else ():
            if path.suffix in {_PART, _TEXT} and (file := _locked(path)) is not None:
                try:
                    note = json.loads(path.with_suffix(_NOTE).read_text()) if path.suffix == _TEXT else None
                except (FileNotFoundError, ValueError):
                    note = None
                if note is not None:
                    yield KeptFile(path.stem, file, note)
                else:
                    path.unlink(missing_ok=True)
                    path.with_suffix(_NOTE).unlink(missing_ok=True)
                    file.close()

    def _path(self, file_id: str, ending: str) -> Path:
        assert self._directory is not None
        return self._directory / (file_id + ending)


class _Named(FileIO):
    """A file that is removed when it is closed, as long as it has a path here."""

    path: Path | None = None

    def close(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None
        super().close()


def _locked(path: Path) -> FileIO | None:
    """The file, if nobody else has it."""
    with suppress(FileNotFoundError):
        file = FileIO(path, "r+b")
        try:
            fcntl.flock(file, _LOCKED)
        except BlockingIOError:
            file.close()
            return None
        if path.exists():  # its holder may have removed it meanwhile
            return file
        file.close()
    return None


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
