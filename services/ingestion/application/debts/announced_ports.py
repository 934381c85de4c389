"""What the use cases of announced debt files need from the world."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadWay


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """How many uploads may be open: of one caller, and of all. `stored`: bytes of those that come in parts."""

    of_caller: int = 100
    of_all: int = 1000
    stored: int = 16 * 1024**3


@dataclass(frozen=True, slots=True)
class Claim:
    """A WHOLE upload that `worker` works on, the how manieth time."""

    upload: AnnouncedUpload
    worker: str
    attempts: int


class UploadStore(Protocol):
    """Stored announcements. Whose they are is not looked at."""

    async def create(
        self, by: str, way: UploadWay, said: Announcement, life: timedelta, limits: OpenLimits
    ) -> AnnouncedUpload:
        """OPEN. Raises TooManyUploads and StorageFull."""
        ...

    async def get(self, upload_id: str) -> AnnouncedUpload:
        """Raises ResourceNotFound."""
        ...

    async def take(self, upload_id: str) -> AnnouncedUpload:
        """ENDED: whoever gets this takes the content. Raises ResourceNotFound, UploadExpired, UploadEnded."""
        ...

    async def give_back(self, upload_id: str) -> None:
        """OPEN again, unless there is a debt file of it: nothing of the content was taken."""
        ...

    async def fail(self, upload_id: str, error: str) -> None:
        """FAILED, where there is no debt file that could say so."""
        ...

    async def cancel(self, upload_id: str, error: str) -> AnnouncedUpload:
        """CANCELLED, when it is OPEN or waits to be worked on; what came of it is removed. One that is CANCELLED is
        returned as it is. Raises ResourceNotFound, and UploadEnded otherwise."""
        ...

    async def sweep(self) -> int:
        """Lets those expire whose time is over and counts them, removes what is kept of them, and opens those again
        that were taken by a process which died before their debt file began. Ended ones are forgotten after a week."""
        ...


class UploadPartStore(Protocol):
    """The content of uploads that come in parts."""

    async def attach(self, upload_id: str, offset: int) -> str:
        """Who may append from now on, in place of whoever might before; parts that were not kept are removed. Raises
        ResourceNotFound, UploadExpired, UploadEnded, and UploadOffset."""
        ...

    async def append(self, upload_id: str, writer: str, start: int, part: bytes, *, keep: bool) -> None:
        """Commits a part; `keep`: as received, else it waits for `keep`. Raises UploadOffset when another stream has
        taken over."""
        ...

    async def keep(self, upload_id: str, writer: str, received: int) -> AnnouncedUpload:
        """All parts up to this offset are received; WHOLE with the last byte. Raises UploadOffset."""
        ...

    def content(self, upload_id: str) -> AsyncGenerator[bytes]:
        """The parts that are received, in order."""
        ...

    async def claim(self, worker: str, lease: timedelta) -> Claim | None:
        """The oldest WHOLE upload that nobody works on; None: there is none."""
        ...

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        """Whether it is the worker's still."""
        ...

    async def release(self, claim: Claim, after: timedelta, *, counted: bool) -> None:
        """Somebody may claim it again after a while; `counted`: this attempt counts."""
        ...

    async def end(self, claim: Claim) -> None:
        """ENDED; the parts are removed."""
        ...
