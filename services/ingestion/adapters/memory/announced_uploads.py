"""Announced debt files in memory (the port `UploadStore`): for tests and experiments."""

from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.ids import new_id
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.application.debts.announced_ports import OpenLimits
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.debts.upload_errors import UploadEnded, UploadExpired
from services.ingestion.domain.errors import ResourceNotFound

_TAKEN_WITHIN = timedelta(minutes=1)
_REMEMBERED = timedelta(days=7)


class MemoryUploads:
    """`tables` has the debt files and the clock."""

    def __init__(self, tables: DebtTables | None = None) -> None:
        self.tables = tables or DebtTables()
        self._uploads: dict[str, AnnouncedUpload] = {}
        self._ended: dict[str, datetime] = {}

    async def create(
        self, by: str, way: UploadWay, said: Announcement, life: timedelta, limits: OpenLimits
    ) -> AnnouncedUpload:
        now = self.tables.now()
        is_open = [one for one in self._uploads.values() if one.state is UploadState.OPEN and one.expire_time > now]
        if sum(one.by == by for one in is_open) >= limits.of_caller:
            raise TooManyUploads(limits.of_caller)
        if len(is_open) >= limits.of_all:
            raise TooManyUploads(limits.of_all)
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
            self._uploads[upload_id] = replace(found, state=UploadState.FAILED, error=error)

    async def cancel(self, upload_id: str, error: str) -> AnnouncedUpload:
        found = await self.get(upload_id)
        if found.state is UploadState.OPEN:
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
            elif one.state is UploadState.ENDED and self._ended[one.id] < now - _TAKEN_WITHIN:
                await self.give_back(one.id)
            if one.state is not UploadState.OPEN and self._ended[one.id] < now - _REMEMBERED:
                self._uploads.pop(one.id, None)
        return expired

    def _end(self, upload: AnnouncedUpload, state: UploadState, error: str = "") -> AnnouncedUpload:
        self._ended[upload.id] = self.tables.now()
        self._uploads[upload.id] = replace(upload, state=state, error=error)
        return self._uploads[upload.id]
