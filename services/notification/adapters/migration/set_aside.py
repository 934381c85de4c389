"""Documents that a run could not use: a line of JSON for each, with its number, the reason and its text."""

import json
import os
from pathlib import Path

from services.notification.adapters.migration.documents import MAX_RAW, Document, raw_text


class Examples:
    """The first documents that a dry run would set aside, by number and reason; nothing is written."""

    def __init__(self, most: int) -> None:
        self.found: list[tuple[int, str]] = []
        self._most = most

    def add(self, document: Document, reason: str) -> None:
        """See SetAside."""
        if len(self.found) < self._most:
            self.found.append((document.number, reason))

    def settle(self) -> int:
        """See SetAside."""
        return 0


class SetAside:
    """Is cut to the checkpoint when it is opened: what came after that comes again. Readable by its owner alone."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)
        self._added = False

    def __enter__(self) -> "SetAside":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.path.stat().st_size:
            self.path.unlink()

    def add(self, document: Document, reason: str) -> None:
        """A line more."""
        line: dict[str, object] = {"line": document.number, "reason": reason, "raw": raw_text(document)}
        if document.size > MAX_RAW:
            line["cut"] = True
        self._file.write(json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n")
        self._added = True

    def settle(self) -> int:
        """What was added is on the disk; the file's length."""
        if self._added:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._added = False
        return self._file.tell()
