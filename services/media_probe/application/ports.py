"""What the use cases need from outside."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from services.media_probe.domain.container_formats import Container
from services.media_probe.domain.video import Alert, Effort, Inspection, Video, VideoFilter


class Unchanged(Exception):
    """The video is still what it was when it had the tag that it was opened with."""


class RemoteVideo(Protocol):
    """One video on its server, read in ranges within a budget."""

    @property
    def tag(self) -> str:
        """What the server vouches for the bytes with (a strong ETag), once something was read; empty where it does
        not."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes of the file, once known."""
        ...

    @property
    def effort(self) -> Effort:
        """What reading has cost so far."""
        ...

    async def read(self, offset: int, length: int, ahead: int = 0) -> bytes:
        """`length` bytes at `offset`, fewer only where the file ends. Up to `ahead` more may be fetched along. What was
        read before is not fetched again. Raises ProbeFailed, and Unchanged by the first read."""
        ...


class VideoSource(Protocol):
    """Opens videos."""

    def open(self, url: str, known: str = "") -> AbstractAsyncContextManager[RemoteVideo]:
        """Nothing is fetched before the first read. `known`: a tag of bytes that need not be read again. Raises
        ProbeFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Missing:
    """A demuxer wants bytes at `offset` that it was not given."""

    offset: int


@dataclass(frozen=True, slots=True)
class Indigestible:
    """A demuxer made nothing of the bytes. `streams` is how many streams it saw."""

    message: str
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file at their offset."""

    offset: int
    data: bytes


class Demuxer(Protocol):
    """Looks into bytes, isolated from this process."""

    async def inspect(
        self, container: Container, pieces: Sequence[Piece], *, seekable: bool = False, size: int | None = None
    ) -> Inspection | Missing | Indigestible:
        """Demuxes a file of which only the pieces are known. Not seekable: the file is one piece from its start, and
        ends there. Seekable: the first read outside of the pieces, but before `size`, ends in Missing.

        Raises ProbeFailed(CRASHED) when the bytes crash or hang the demuxer, Unavailable when it cannot be started.
        """
        ...


class Progress(Protocol):
    """Tells others that a probe begins."""

    async def started(self, alert: Alert, attempt: int, version: int) -> None:
        """Returns when the event is durable; `version` orders it among all that is told of the alert. Raises
        Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an alert: its row, and whether this report of it has had its effect already."""

    row: Video | None
    seen: bool


MAX_HISTORY: Final = 100


class VideoStore(Protocol):
    """The result rows, and the attempts that led to them."""

    async def get(self, uid: str) -> Video | None:
        """The row of an alert, with its history: the last `MAX_HISTORY` attempts."""
        ...

    async def page(self, wanted: VideoFilter, after: tuple[float, str] | None, limit: int) -> Sequence[Video]:
        """Up to `limit` rows, newest alerts first, after the one with this timestamp and uid."""
        ...

    async def known(self, alert: Alert) -> Known:
        """What is known of the alert."""
        ...

    async def record(self, alert: Alert, row: Video) -> bool:
        """In one transaction: the row, and for a final one the event and the mark that this report has had its effect.
        False, and nothing done, when it had it already, when the row says that it succeeded, and when a later report
        of the alert has a row."""
        ...

    async def remove(self, before: datetime, limit: int) -> int:
        """Removes up to `limit` rows of which the first was recorded before then, with their history; how many."""
        ...

    async def retry(self, uid: str, event_id: str) -> Video:
        """In one transaction: a FAILED row becomes RETRYING, which is told, and the alert is reported again as
        `event_id`. Raises VideoNotFound or VideoNotFailed."""
        ...
