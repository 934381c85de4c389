"""One log file per part, written by the part itself and kept within bounds by the supervisor."""

import contextlib
import os
import shutil
from collections import deque
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024


class LogFile:
    """`<part>.log`, with one older generation in `<part>.log.1`.

    The part holds the file open in append mode, so the supervisor copies and truncates it: nothing flows through
    the supervisor, and a part goes on writing when the supervisor is slow. Lines written between copying and
    truncating are lost; that is a moment per 16 MiB.
    """

    def __init__(self, directory: Path, part: str) -> None:
        self.path = directory / f"{part}.log"
        self._older = directory / f"{part}.log.1"

    def open(self) -> int:
        """A descriptor for the part's standard output and error."""
        self.trim()
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def trim(self) -> None:
        """Moves the content to the older generation when there is too much of it. On a disk without room for both,
        what does not fit is given up: no part has to wait for its log. Never raises."""
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= MAX_BYTES:
                return
            try:
                shutil.copyfile(self.path, self._older)
                self._older.chmod(0o600)
            finally:
                os.truncate(self.path, 0)

    def tail(self, lines: int) -> list[str]:
        """The last lines."""
        try:
            with self.path.open(errors="replace") as file:
                return [line.rstrip("\n") for line in deque(file, maxlen=lines)]
        except FileNotFoundError:
            return []
