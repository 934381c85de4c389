"""What the use cases of announced debt files need from the world."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from services.chassis.bucket_settings import StoredObject
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadWay

BUCKET_CALLER: Final = "bucket"
"""Who has sent files that nobody announced."""


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

    def content(self, upload: AnnouncedUpload) -> AsyncGenerator[bytes]:
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


class ObjectBucket(Protocol):
    """A bucket of an object storage. All but `signed_put` raise Unavailable."""

    def signed_put(self, key: str, headers: Mapping[str, str], life: timedelta) -> str:
        """A URL to which one may PUT the object for so long, with exactly these headers."""
        ...

    def objects(self, prefix: str) -> AsyncGenerator[StoredObject]:
        """Those whose key begins so, by key."""
        ...

    def read(self, found: StoredObject) -> AsyncGenerator[bytes]:
        """The content as it was when it was found."""
        ...

    async def delete(self, key: str) -> None:
        """Also where there is none."""
        ...


class BucketUploadStore(Protocol):
    """Uploads whose content is an object."""

    async def unknown(self, objects: Sequence[StoredObject]) -> list[StoredObject]:
        """Those (key and ETag) that are no upload's content yet."""
        ...

    async def arrived(self, upload_id: str, found: StoredObject) -> bool:
        """The content of an announced upload is here: WHOLE, when it was OPEN, or came in time and is found late;
        whether it was. Otherwise nothing happens: the first object counts."""
        ...

    async def found(self, upload_id: str, said: Announcement, found: StoredObject) -> bool:
        """An upload that nobody announced, WHOLE; False when the object is an upload's content already."""
        ...

    async def removable(self, kept: timedelta, limit: int) -> list[AnnouncedUpload]:
        """Uploads that have been over for so long, and whose object is there still, the oldest first."""
        ...

    async def removed(self, uploads: Sequence[str]) -> None:
        """Their objects are gone."""
        ...
