"""Debt files that come through a bucket of an object storage."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.chassis.bucket_settings import StoredObject
from services.chassis.errors import DomainError
from services.chassis.ids import derived_id
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.announced_ports import BucketUploadStore, ObjectBucket
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement
from services.ingestion.domain.debts.filenames import shown_filename

log = get_logger(__name__)

_TOGETHER: Final = 500
_UNUSED_AFTER: Final = timedelta(days=8)
"""Longer than any signed URL is good, and than ended uploads are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketOptions:
    """All keys begin with `prefix`. `poll`: how often new objects are looked for. `kept`: how long those stay whose
    upload is over."""

    prefix: str = "debts/"
    poll: timedelta = timedelta(seconds=15)
    kept: timedelta = timedelta(days=1)


class BucketUploads:
    """Objects below `<prefix>uploads/` belong to announced uploads and are named by their ids. Those below
    `<prefix>inbox/` are files as they are: their name is that of the file, and a folder before it that of the profile
    by which it is read. An object (key, ETag and time) is processed once. `whole` is called when there is work."""

    def __init__(
        self, store: BucketUploadStore, bucket: ObjectBucket, whole: Callable[[], None], options: BucketOptions
    ) -> None:
        self._store, self._bucket, self._whole, self._options = store, bucket, whole, options
        self._announced, self._inbox = f"{options.prefix}uploads/", f"{options.prefix}inbox/"

    def key(self, upload_id: str) -> str:
        """Of the object that will be the content of an upload."""
        return self._announced + upload_id

    def signed(self, upload: AnnouncedUpload, life: timedelta) -> tuple[str, Mapping[str, str]]:
        """The URL that takes the content of the upload, and the headers that must come with it: the storage itself
        holds it to size, type and checksum."""
        said = upload.said
        headers = {"content-length": str(said.size)}
        if said.content_type:
            headers["content-type"] = said.content_type
        if said.sha256:
            headers["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(said.sha256)).decode()
        return self._bucket.signed_put(self.key(upload.id), headers, life), headers

    def content(self, upload: AnnouncedUpload) -> AsyncGenerator[bytes]:
        """Of an upload that is WHOLE. Raises Unavailable, also when the object is not the one that was found."""
        found = StoredObject(upload.object_key, upload.object_etag, upload.received, upload.create_time)
        return self._bucket.read(found)

    async def look(self, prefixes: Iterable[str] = ()) -> int:
        """Takes new objects up whose key begins so (none: all), and counts them. Raises Unavailable."""
        taken = 0
        for prefix in prefixes or (self._announced, self._inbox):
            together: list[StoredObject] = []
            async for found in self._bucket.objects(prefix):
                together.append(found)
                if len(together) == _TOGETHER:
                    taken += await self._take(together)
                    together = []
            taken += await self._take(together)
        if taken:
            self._whole()
        return taken

    async def told(self, keys: Iterable[str]) -> int:
        """Somebody says that these objects are new; as `look`."""
        ours = {key for key in keys if key.startswith((self._announced, self._inbox))}
        return await self.look(sorted(ours)) if ours else 0

    async def remove(self) -> dict[str, int]:
        """Removes objects of uploads that have been over for long enough, and counts them by how they ended. Raises
        Unavailable."""
        counts: dict[str, int] = {}
        while uploads := await self._store.removable(self._options.kept, _TOGETHER):
            for upload in uploads:
                if await self._is_there(upload):
                    await self._bucket.delete(upload.object_key)
                counts[upload.state.value] = counts.get(upload.state.value, 0) + 1
            await self._store.removed([upload.id for upload in uploads])
        return counts

    async def _is_there(self, upload: AnnouncedUpload) -> bool:
        """Whether its object is; not when another file has been put under the same key, as senders do day by day."""
        async with aclosing(self._bucket.objects(upload.object_key)) as objects:
            found = await anext(objects, None)  # of the keys that begin so, it is the first
        return found is not None and upload.is_of(found.key, found.etag, found.modified)

    async def run(self) -> None:
        """Looks for new objects and removes old ones, for ever."""
        while True:
            try:
                await self.look()
                if removed := await self.remove():
                    log.info("objects of debt files removed", **removed)
            except DomainError as error:
                log.warning("bucket of debt files not looked after", error=repr(error))
            await asyncio.sleep(self._options.poll.total_seconds())

    async def _take(self, objects: list[StoredObject]) -> int:
        taken = 0
        unused_before = datetime.now(UTC) - _UNUSED_AFTER
        for found in await self._store.unknown(objects) if objects else []:
            if found.key.startswith(self._inbox):
                taken += await self._take_file(found)
            elif await self._store.arrived(found.key.removeprefix(self._announced), found):
                taken += 1
            elif found.modified < unused_before:
                await self._bucket.delete(found.key)
                log.info("unused object of debt files removed", key=found.key)
        return taken

    async def _take_file(self, found: StoredObject) -> bool:
        path = found.key.removeprefix(self._inbox)
        if path.endswith("/") or not path:
            return False  # what some programs make for a folder
        folder, _, _ = path.rpartition("/")
        profile = folder.rpartition("/")[2]
        # One that no profile can be called is unknown like others: nothing is read in another way than its folder says.
        said = Announcement(filename=shown_filename(path), size=found.size, profile=profile)
        upload_id = derived_id(found.modified, f"{found.key} {found.etag}")
        return await self._store.found(upload_id, said, found)
