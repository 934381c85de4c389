"""The end of the parts' logs and what is added to them: of several parts, over trimming, in the order of time."""

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from services.cli.runtime.log_lines import LogLine, parse_line, starts_anew

_BLOCK = 64 * 1024
_HEAD = 256

Wanted = Callable[[LogLine], bool]


def known_logs(directory: Path) -> list[str]:
    """The names of the parts that have logged."""
    return sorted(path.stem for path in directory.glob("*.log"))


@dataclass(slots=True)
class _Place:
    """How far a file has been read, and how it begins: one that begins otherwise has been trimmed meanwhile."""

    offset: int = 0
    head: bytes = b""


class PartLog:
    """One part's log. `last` reads its end once, then `added` what comes after that."""

    def __init__(self, directory: Path, part: str) -> None:
        self.part = part
        self._path = directory / f"{part}.log"
        self._older = directory / f"{part}.log.1"
        self._place = _Place()
        self._before: LogLine | None = None

    def last(self, count: int, wanted: Wanted) -> list[LogLine]:
        """Up to so many wanted lines, the older generation's too, in their order."""
        try:
            with self._path.open("rb") as file:
                self._place = _Place(_end_of_lines(file), _head(file))
                found = list(islice(self._backwards(file, wanted), count)) if count else []
        except FileNotFoundError:
            return []
        found.reverse()
        return found

    def added(self) -> list[LogLine]:
        """The whole lines that were added since the last look."""
        lines: list[LogLine] = []
        try:
            with self._path.open("rb") as file:
                head = _head(file)
                if not head.startswith(self._place.head):
                    # Trimmed: what we had not read yet went into the older generation.
                    lines += self._read_older()
                    self._place = _Place()
                file.seek(self._place.offset)
                lines += self._take(file.read())
                self._place.head = head
        except FileNotFoundError:
            return []
        return lines

    def _read_older(self) -> list[LogLine]:
        try:
            with self._older.open("rb") as file:
                file.seek(self._place.offset)
                return self._take(file.read())
        except FileNotFoundError:
            return []

    def _take(self, content: bytes) -> list[LogLine]:
        whole = content[: content.rfind(b"\n") + 1]
        self._place.offset += len(whole)
        lines: list[LogLine] = []
        for text in _texts(whole.splitlines()):
            self._before = parse_line(self.part, text, self._before, otherwise=datetime.now(UTC))
            lines.append(self._before)
        return lines

    def _backwards(self, file: BinaryIO, wanted: Wanted) -> Generator[LogLine]:
        """The wanted lines from the last one on; those without a time of their own wait for the one before them."""
        written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
        waiting: list[str] = []
        for text in _texts(self._all_backwards(file)):
            waiting.append(text)
            if starts_anew(text):
                yield from filter(wanted, self._in_turn(waiting, written))
                waiting = []
        yield from filter(wanted, self._in_turn(waiting, written))

    def _in_turn(self, waiting: list[str], written: datetime) -> list[LogLine]:
        """Lines from the last one on, parsed from the first one on."""
        before: LogLine | None = None
        parsed: list[LogLine] = []
        for text in reversed(waiting):
            before = parse_line(self.part, text, before, otherwise=written)
            parsed.append(before)
        if self._before is None and parsed:
            self._before = parsed[-1]
        return parsed[::-1]

    def _all_backwards(self, file: BinaryIO) -> Generator[bytes]:
        yield from _lines_backwards(file, self._place.offset)
        try:
            with self._older.open("rb") as older:
                yield from _lines_backwards(older, _end_of_lines(older))
        except FileNotFoundError:
            return


def in_time(logs: list[list[LogLine]]) -> list[LogLine]:
    """The lines of several parts in the order of time; lines of one moment stay in their order."""
    return sorted(chain.from_iterable(logs), key=lambda line: line.time)


def _texts(lines: "Generator[bytes] | list[bytes]") -> Generator[str]:
    for line in lines:
        if text := line.decode(errors="replace").rstrip():
            yield text


def _head(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(_HEAD)


def _end_of_lines(file: BinaryIO) -> int:
    """The offset after the last whole line."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        found = file.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _lines_backwards(file: BinaryIO, end: int) -> Generator[bytes]:
    position, rest = end, b""
    while position > 0:
        start = max(0, position - _BLOCK)
        file.seek(start)
        first, *others = (file.read(position - start) + rest).split(b"\n")
        yield from reversed(others)
        position, rest = start, first
    if rest:
        yield rest
