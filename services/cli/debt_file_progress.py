"""How far a debt file is, on the terminal: bytes sent by us, rows as the service tells of them."""

import json
import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

from services.cli.output import console, counted, size

if TYPE_CHECKING:
    import httpx

_AGAIN_SECONDS = 0.25
_LAST_SECONDS = 600.0


class DebtFileProgress:
    """A context in which the file is shown. `quiet`: nothing is printed. The service is watched on a thread."""

    def __init__(self, client: "httpx.Client", file_id: str, size: int, *, quiet: bool) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.sent = False
        """Whether all bytes have gone."""
        self._client, self._file_id, self._size = client, file_id, size
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            console=console(),
            disable=quiet,
        )
        self._sending = self._progress.add_task("sent", total=size or None, told="")  # of a pipe nobody knows it
        self._rows = self._progress.add_task("rows", total=None, start=False, told="", visible=False)
        self._file: dict[str, Any] = {}
        self._ended, self._stop = threading.Event(), threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "DebtFileProgress":
        self._progress.start()
        self._watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._ended.wait(1)  # the last figures
        self._stop.set()
        self._progress.stop()

    def counted(self, chunks: Iterator[bytes], sent: int = 0) -> Generator[bytes]:
        """The chunks, counted as they go, from so many bytes on."""
        for chunk in chunks:
            yield chunk
            sent += len(chunk)
            speed = self._progress.tasks[self._sending].speed or 0
            told = f"{size(sent, self._size)} of {size(self._size)}" if self._size else size(sent)
            self._progress.update(self._sending, completed=sent, told=f"{told}{f'  {size(speed)}/s' if speed else ''}")
        self.sent = True

    @property
    def begun(self) -> bool:
        """Whether the service has told of the file."""
        return bool(self._file)

    def final(self) -> dict[str, Any] | None:
        """The file once it has ended; None when nobody tells of it any more."""
        return self._file if self._ended.wait(_LAST_SECONDS) else None

    def _watch(self) -> None:
        import httpx

        path, headers = f"/v1/debtFiles/{self._file_id}:watch", {"accept": "text/event-stream"}
        while not self._stop.is_set() and not self._ended.is_set():
            try:
                # Until the upload has begun there is no such file.
                with self._client.stream("GET", path, headers=headers, timeout=httpx.Timeout(10, read=None)) as events:
                    if events.is_success:
                        self._read(events)
            except (httpx.HTTPError, RuntimeError):
                # Progress is for the eye: the answer to the upload tells how it ended. RuntimeError: a closed client.
                pass
            self._stop.wait(_AGAIN_SECONDS)

    def _read(self, events: "httpx.Response") -> None:
        for line in events.iter_lines():
            if self._stop.is_set():
                return
            if line.startswith("data:"):
                found = json.loads(line.removeprefix("data:"))
                if "state" in found:
                    self._tell(found)

    def _tell(self, file: dict[str, Any]) -> None:
        self._file = file
        state, rows = file["state"], int(file.get("rows", 0))
        if state not in {"EXPECTED", "RECEIVING"}:
            if not self._progress.tasks[self._rows].started:
                self._progress.start_task(self._rows)
            speed = self._progress.tasks[self._rows].speed or 0
            rate = f"  {speed:,.0f}/s" if speed else ""  # of a small file nobody knows it
            told = f"{counted(rows, 'row')}{rate}  {int(file.get('rejected', 0)):,} rejected"
            doing = "validated" if file.get("dryRun") else "registered"
            final = state != "PROCESSING"
            total = max(rows, 1) if final else None
            self._progress.update(
                self._rows, completed=total or rows, total=total, told=told, visible=True, description=doing
            )
            if final:
                self._ended.set()
