"""How a migration of notifications is told of: a bar in a terminal, a line now and then elsewhere, a log for later."""

import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from services.cli.output import console

if TYPE_CHECKING:
    from services.notification.adapters.migration.runs import Run

_EVERY_SECONDS = 5.0
"""Between lines of progress where output is no terminal."""


class MigrationLog:
    """The log of a run, a line of JSON for each operation as the services write theirs. Its owner alone may read it."""

    def __init__(self, directory: Path, run: str) -> None:
        path = directory / f"{run}.log"
        self._run = run
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "w")

    def __enter__(self) -> "MigrationLog":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            self.write("migration.stopped", {"error": str(error) or type(error).__name__}, level="error")
        self._file.close()

    def write(self, event: str, values: Mapping[str, object], *, level: str = "info") -> None:
        """A line, which is with the system when this returns."""
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = {"time": at, "level": level, "service": "migration", "event": event, "run": self._run, **values}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


class MigrationProgress(ExitStack):
    """See Watcher. `directory`: where the log of the run is kept; None: a dry run leaves none."""

    def __init__(self, file: Path, directory: Path | None, *, quiet: bool) -> None:
        super().__init__()
        self._directory = directory
        self._stream: TextIO | None = None if quiet else sys.stderr
        self._size = file.stat().st_size
        self._began = self._told = time.monotonic()
        self._first = 0
        """Documents that were done when this call took over."""
        self._log: MigrationLog | None = None
        self._bar = _bar() if not quiet and sys.stderr.isatty() else None
        if self._bar is not None:
            self.enter_context(self._bar)
            self._task = self._bar.add_task(file.name, total=self._size, rate="")

    def begun(self, run: "Run") -> None:
        """See Watcher."""
        self._first = done = run.checkpoint.documents
        if self._directory is not None:
            self._log = self.enter_context(MigrationLog(self._directory, run.id))
            self._log.write("migration.begun", {"source": run.source, "resumed_after": done})
        self._tell(
            ("run " if self._directory else "") + run.id + (f", goes on after document {done:,}" if done else "")
        )

    def batch(self, run: "Run", read: int, outcome: Mapping[str, int]) -> None:
        """See Watcher."""
        documents, now = run.checkpoint.documents, time.monotonic()
        if self._log is not None:
            self._log.write("migration.batch", {"documents": documents, **outcome})
        rate = (documents - self._first) / max(now - self._began, 1e-3)
        if self._bar is not None:
            self._bar.update(self._task, completed=read, rate=f"{rate:,.0f}/s")
        elif now - self._told >= _EVERY_SECONDS:
            self._told = now
            left = (self._size - read) * (now - self._began) / max(read, 1)
            share = read / max(self._size, 1)
            self._tell(f"{documents:,} documents, {share:.0%}, {rate:,.0f}/s, {left:,.0f} s remain")

    def ended(self, run: "Run") -> None:
        """The file was read to its end."""
        if self._log is not None:
            seconds = round(time.monotonic() - self._began, 3)
            self._log.write("migration.done", {"documents": run.checkpoint.documents, "seconds": seconds, **run.counts})

    def _tell(self, line: str) -> None:
        if self._stream is not None:
            console(stderr=True).print(line, markup=False)


def _bar() -> Any:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
    )
