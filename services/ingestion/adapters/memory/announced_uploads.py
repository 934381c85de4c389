"""Announced debt files in memory (the ports `UploadStore`,
`UploadPartStore` and `BucketUploadStore`): for tests and experiments."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.bucket_settings import StoredObject
from services.chassis.ids import new_id
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.application.debts.announced_ports import BUCKET_CALLER, Claim, OpenLimits
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.debts.upload_errors import StorageFull, UploadEnded, UploadExpired, UploadOffset
from services.ingestion.domain.errors import ResourceNotFound

_TAKEN_WITHIN = timedelta(minutes=1)
_REMEMBERED = timedelta(days=7)


class MemoryUploads:
    """`tables` has the debt files and the clock."""

    def __init__(self, tables: DebtTables | None = None) -> None:
        self.tables = tables or DebtTables()
        self._uploads: dict[str, AnnouncedUpload] = {}
        self._ended: dict[str, datetime] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self._writers: dict[str, str] = {}
        self._workers: dict[str, tuple[str, datetime]] = {}
        self._attempts: dict[str, int] = {}
        self._removed: set[str] = set()

    async def create(
        self, by: str, way: UploadWay, said: Announcement, life: timedelta, limits: OpenLimits
    ) -> AnnouncedUpload:
        now = self.tables.now()
        is_open = [one for one in self._uploads.values() if one.state is UploadState.OPEN and one.expire_time > now]
        if sum(one.by == by for one in is_open) >= limits.of_caller:
            raise TooManyUploads(limits.of_caller, awaited=True)
        if len(is_open) >= limits.of_all:
            raise TooManyUploads(limits.of_all, awaited=True)
        here = {UploadState.OPEN, UploadState.WHOLE}
        parted = [one for one in self._uploads.values() if one.way is UploadWay.RESUMABLE and one.state in here]
        if way is UploadWay.RESUMABLE and sum(one.said.size for one in parted) + said.size > limits.stored:
            raise StorageFull(limits.stored)
        made = AnnouncedUpload(
            id=new_id(),
            by=by,
            way=way,
            said=said,
            state=UploadState.OPEN,
            received=0,
            error="",
            create_time=now,
            expire_time=now + life,
        )
        self._uploads[made.id] = made
        return made

    async def get(self, upload_id: str) -> AnnouncedUpload:
        if upload_id not in self._uploads:
            raise ResourceNotFound("debt upload", upload_id)
        return self._uploads[upload_id]

    async def take(self, upload_id: str) -> AnnouncedUpload:
        found = await self.get(upload_id)
        if found.state is not UploadState.OPEN and found.state is not UploadState.EXPIRED:
            raise UploadEnded(found.id, found.state.value)
        if found.state is UploadState.EXPIRED or found.expire_time <= self.tables.now():
            raise UploadExpired(found.id)
        return self._end(found, UploadState.ENDED)

    async def give_back(self, upload_id: str) -> None:
        found = self._uploads.get(upload_id)
        if found is not None and found.state is UploadState.ENDED and upload_id not in self.tables.files:
            self._uploads[upload_id] = replace(found, state=UploadState.OPEN)

    async def fail(self, upload_id: str, error: str) -> None:
        found = self._uploads.get(upload_id)
        if found is not None and upload_id not in self.tables.files:
            self._end(found, UploadState.FAILED, error)

    async def cancel(self, upload_id: str, error: str) -> AnnouncedUpload:
        found = await self.get(upload_id)
        if found.state is UploadState.OPEN or (found.state is UploadState.WHOLE and not self._worked_on(upload_id)):
            return self._end(found, UploadState.CANCELLED, error)
        if found.state is not UploadState.CANCELLED:
            raise UploadEnded(found.id, found.state.value)
        return found

    async def sweep(self) -> int:
        now, expired = self.tables.now(), 0
        for one in list(self._uploads.values()):
            if one.state is UploadState.OPEN and one.expire_time <= now:
                self._end(one, UploadState.EXPIRED, "the bytes did not come in time")
                expired += 1
            elif one.way is UploadWay.SIGNED_URL and self._ended.get(one.id, now) < now - _TAKEN_WITHIN:
                await self.give_back(one.id)
            if one.state is not UploadState.OPEN and self._ended[one.id] < now - _REMEMBERED:
                self._uploads.pop(one.id, None)
        return expired

    def _end(self, upload: AnnouncedUpload, state: UploadState, error: str = "") -> AnnouncedUpload:
        self._ended[upload.id] = self.tables.now()
        self._uploads[upload.id] = replace(upload, state=state, error=error)
        self._parts.pop(upload.id, None)
        return self._uploads[upload.id]

    async def attach(self, upload_id: str, offset: int) -> str:
        found = await self.get(upload_id)
        if found.state is not UploadState.OPEN and found.state is not UploadState.EXPIRED:
            raise UploadEnded(found.id, found.state.value)
        if found.state is UploadState.OPEN and found.received != offset:
            raise UploadOffset(found.id, found.received)
        if found.state is UploadState.EXPIRED or found.expire_time <= self.tables.now():
            raise UploadExpired(found.id)
        parts = self._parts.setdefault(upload_id, {})
        self._parts[upload_id] = {start: part for start, part in parts.items() if start < offset}
        self._writers[upload_id] = new_id()
        return self._writers[upload_id]

    async def append(self, upload_id: str, writer: str, start: int, part: bytes, *, keep: bool) -> None:
        found = await self.get(upload_id)
        if self._writers.get(upload_id) != writer or found.state is not UploadState.OPEN:
            raise UploadOffset(found.id, found.received)
        self._parts[upload_id][start] = part
        if keep:
            await self.keep(upload_id, writer, start + len(part))

    async def keep(self, upload_id: str, writer: str, received: int) -> AnnouncedUpload:
        found = await self.get(upload_id)
        if self._writers.get(upload_id) == writer and found.state is UploadState.OPEN:
            whole = received == found.said.size
            found = replace(found, received=received, state=UploadState.WHOLE if whole else found.state)
            self._uploads[upload_id] = found
            self._ended[upload_id] = self.tables.now()
        if found.received != received:
            raise UploadOffset(found.id, found.received)
        return found

    async def content(self, upload: AnnouncedUpload) -> AsyncGenerator[bytes]:
        received = (await self.get(upload.id)).received
        parts = self._parts.get(upload.id, {})
        for start in sorted(parts):
            if start < received:
                yield parts[start]

    async def claim(self, worker: str, lease: timedelta) -> Claim | None:
        whole = [one for one in self._uploads.values() if one.state is UploadState.WHOLE]
        for one in sorted(whole, key=lambda one: self._ended[one.id]):
            if not self._worked_on(one.id):
                self._workers[one.id] = worker, self.tables.now() + lease
                self._attempts[one.id] = self._attempts.get(one.id, 0) + 1
                return Claim(one, worker, self._attempts[one.id])
        return None

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        if mine := self._mine(claim):
            self._workers[claim.upload.id] = claim.worker, self.tables.now() + lease
        return mine

    async def release(self, claim: Claim, after: timedelta, *, counted: bool) -> None:
        if self._mine(claim):
            self._workers[claim.upload.id] = "", self.tables.now() + after
            self._attempts[claim.upload.id] -= not counted

    async def end(self, claim: Claim) -> None:
        if self._mine(claim):
            self._end(self._uploads[claim.upload.id], UploadState.ENDED)

    async def unknown(self, objects: Sequence[StoredObject]) -> list[StoredObject]:
        return [
            found
            for found in objects
            if not any(one.is_of(found.key, found.etag, found.modified) for one in self._uploads.values())
        ]

    async def arrived(self, upload_id: str, found: StoredObject) -> bool:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.way is not UploadWay.BUCKET:
            return False
        in_time = upload.state is UploadState.EXPIRED and found.modified <= upload.expire_time
        if upload.state is not UploadState.OPEN and not in_time:
            return False
        self._whole(upload, found)
        return True

    async def found(self, upload_id: str, said: Announcement, found: StoredObject) -> bool:
        if upload_id in self._uploads or not await self.unknown([found]):
            return False
        now = self.tables.now()
        upload = AnnouncedUpload(
            id=upload_id,
            by=BUCKET_CALLER,
            way=UploadWay.BUCKET,
            said=said,
            state=UploadState.OPEN,
            received=0,
            error="",
            create_time=now,
            expire_time=now,
        )
        self._whole(upload, found)
        return True

    async def removable(self, kept: timedelta, limit: int) -> list[AnnouncedUpload]:
        before = self.tables.now() - kept
        over = [
            one
            for one in self._uploads.values()
            if one.way is UploadWay.BUCKET
            and one.state not in {UploadState.OPEN, UploadState.WHOLE}
            and self._ended[one.id] < before
            and one.object_key
            and one.id not in self._removed
        ]
        return sorted(over, key=lambda one: self._ended[one.id])[:limit]

    async def removed(self, uploads: Sequence[str]) -> None:
        self._removed.update(uploads)

    def _whole(self, upload: AnnouncedUpload, found: StoredObject) -> None:
        self._ended[upload.id] = self.tables.now()
        self._uploads[upload.id] = replace(
            upload,
            state=UploadState.WHOLE,
            received=found.size,
            object_key=found.key,
            object_etag=found.etag,
            object_modified=found.modified,
        )

    def _mine(self, claim: Claim) -> bool:
        upload = self._uploads[claim.upload.id]
        return upload.state is UploadState.WHOLE and self._workers[upload.id][0] == claim.worker

    def _worked_on(self, upload_id: str) -> bool:
        return upload_id in self._workers and self._workers[upload_id][1] >= self.tables.now()
