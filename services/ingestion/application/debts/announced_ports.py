"""What the use cases of announced debt files need from the world."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadWay


@dataclass(frozen=True, slots=True)
class OpenLimits:
    """How many uploads may be open: of one caller, and of all."""

    of_caller: int = 100
    of_all: int = 1000


class UploadStore(Protocol):
    """Stored announcements. Whose they are is not looked at."""

    async def create(
        self, by: str, way: UploadWay, said: Announcement, life: timedelta, limits: OpenLimits
    ) -> AnnouncedUpload:
        """OPEN. Raises TooManyUploads."""
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
        """CANCELLED, when it is OPEN; what came of it is removed. One that is CANCELLED is returned as it is. Raises
        ResourceNotFound, and UploadEnded otherwise."""
        ...

    async def sweep(self) -> int:
        """Lets those expire whose time is over and counts them, removes what is kept of them, and opens those again
        that were taken by a process which died before their debt file began. Ended ones are forgotten after a week."""
        ...
