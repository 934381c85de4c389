"""Sends a debt file in parts (tus 1.0): what has come is kept, so a broken connection or Ctrl-C costs nothing."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.cli.errors import CommandError
from services.cli.output import console

if TYPE_CHECKING:
    import httpx

    from services.cli.debt_file_progress import DebtFileProgress

_CHUNK: Final = 256 * 1024
_PAUSES: Final = (0.5, 1, 2, 5, 10, 20, 30, 30, 30, 30)
"""Seconds between attempts that got nowhere."""
_BUSY: Final = {409, 429, 502, 503, 504}
"""Answers after which one goes on; 409: from another offset."""
_TUS: Final = {"tus-resumable": "1.0.0"}


@dataclass(frozen=True, slots=True)
class Notebook:
    """Which uploads have begun and not ended, kept for the user: a file each."""

    directory: Path = field(
        default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin" / "uploads"
    )

    def page(self, edge: str, file: Path, said: dict[str, Any]) -> Path:
        """Where the upload of this file, as it is now, is noted."""
        stat = file.stat()
        what = [edge, str(file.resolve()), stat.st_size, stat.st_mtime_ns, sorted(said.items())]
        return self.directory / hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


class _Busy(Exception):
    """The answer says that it goes on later."""

    def __init__(self, response: "httpx.Response") -> None:
        super().__init__(f"the edge answered {response.status_code}")
        wait = response.headers.get("retry-after", "")
        self.wait = float(wait) if wait.isdigit() else 0.0


class ResumableUpload:
    """One file on its way. `said`: what the upload says of it, in the fields of CreateDebtUpload."""

    def __init__(
        self, client: "httpx.Client", file: Path, said: dict[str, Any], notebook: Notebook | None = None
    ) -> None:
        self._client, self._file, self._said = client, file, said
        self._size = file.stat().st_size
        self._page = (notebook or Notebook()).page(str(client.base_url), file, said)
        self._offset = 0
        self.id = ""
        """Of the debt file to be, once it is known."""

    @property
    def noted(self) -> bool:
        """Whether an earlier command has begun it."""
        return self._page.exists()

    def begin(self) -> int:
        """Goes on with what an earlier command has begun, or announces the file; the bytes that are there already.
        Raises CommandError."""
        from services.cli.client import answer

        if self.noted:
            self.id = self._page.read_text(encoding="utf-8").strip()
            if self._look().is_success:
                return self._offset
        with self._file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        request = {**self._said, "size": self._size, "sha256": digest, "way": "RESUMABLE"}
        self.id = answer(self._client.post("/v1/debtFiles:createUpload", json=request))["id"]
        self._offset = 0
        self._page.parent.mkdir(parents=True, exist_ok=True)
        self._page.write_text(self.id, encoding="utf-8")
        return self._offset

    def send(self, progress: "DebtFileProgress") -> None:
        """Returns once all bytes are there. Raises CommandError."""
        import httpx

        failures = 0
        while self._offset < self._size:
            before = self._offset
            try:
                self._send_rest(progress)
            except (httpx.TransportError, _Busy) as error:
                failures = 0 if self._learned() > before else failures + 1
                self._pause(failures, error)
        progress.sent = True

    def forget(self) -> None:
        """There is nothing to go on with."""
        self._page.unlink(missing_ok=True)

    def _send_rest(self, progress: "DebtFileProgress") -> None:
        from services.cli.client import answer

        headers = {
            **_TUS,
            "upload-offset": str(self._offset),
            "content-type": "application/offset+octet-stream",
            "content-length": str(self._size - self._offset),
        }
        chunks = progress.counted(self._rest(), self._offset)
        response = self._client.patch(f"/v1/debtUploads/{self.id}", content=chunks, headers=headers)
        if response.is_success:
            self._offset = int(response.headers["upload-offset"])
        elif response.status_code in _BUSY:
            raise _Busy(response)
        else:
            self.forget()
            answer(response)

    def _rest(self) -> Iterator[bytes]:
        with self._file.open("rb") as content:
            content.seek(self._offset)
            yield from iter(lambda: content.read(_CHUNK), b"")

    def _learned(self) -> int:
        """How many bytes are there, as far as can be learned now. Raises CommandError when nothing more is taken."""
        import httpx

        from services.cli.client import answer

        try:
            response = self._look()
        except httpx.TransportError:
            return self._offset
        if not response.is_success and response.status_code not in _BUSY:
            self.forget()
            answer(response)
        return self._offset

    def _look(self) -> "httpx.Response":
        response = self._client.head(f"/v1/debtUploads/{self.id}", headers=_TUS)
        if response.is_success:
            self._offset = int(response.headers["upload-offset"])
        return response

    def _pause(self, failures: int, error: Exception) -> None:
        """Waits after so many attempts that got nowhere; raises CommandError after too many."""
        if failures >= len(_PAUSES):
            kept = f"what came is kept: run the command again to go on ({self._offset:,} of {self._size:,} bytes)"
            raise CommandError(f"the upload breaks off again and again ({error}); {kept}") from error
        pause = max(_PAUSES[failures], error.wait if isinstance(error, _Busy) else 0)
        console().print(f"the upload broke off ({error}); again in {pause:g} s", highlight=False)
        time.sleep(pause)
