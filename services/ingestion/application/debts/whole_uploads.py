"""Works on uploads that are whole: their content becomes a debt file."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeAlias

from services.chassis.errors import DomainError, Unavailable
from services.chassis.ids import new_id
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.announced_ports import Claim, UploadPartStore, UploadStore
from services.ingestion.application.debts.announced_uploads import upload_of
from services.ingestion.application.debts.ports import DebtFileStore
from services.ingestion.application.debts.uploads import DebtUploads
from services.ingestion.application.debts.verified_content import verified
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, UploadWay
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound

log = get_logger(__name__)

_LOOK: Final = timedelta(seconds=3)
"""How often uploads are looked for that another process has received, or has begun and not ended."""
_AGAIN: Final = timedelta(seconds=2)
_ATTEMPTS: Final = 20
_OUR_FAULT: Final = "something went wrong in the service; it has been logged"

Content: TypeAlias = Callable[[AnnouncedUpload], AsyncGenerator[bytes]]


class WholeUploads:
    """Whoever calls `run` works on one upload after the other; several may. Processes share the work by leases: what a
    dead one has begun another one goes on with."""

    def __init__(
        self,
        store: UploadStore,
        parts: UploadPartStore,
        files: DebtFileStore,
        uploads: DebtUploads,
        contents: Mapping[UploadWay, Content],
        *,
        lease: timedelta,
    ) -> None:
        """`contents`: where the bytes are, by the way that they came."""
        self._contents = contents
        self._store, self._parts, self._files, self._uploads = store, parts, files, uploads
        self._lease = lease
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be work."""
        self._woken.set()

    async def run(self) -> None:
        """Works, for ever."""
        worker = new_id()
        while True:
            self._woken.clear()
            try:
                claim = await self._parts.claim(worker, self._lease)
                if claim is not None:
                    await self._work(claim)
                    continue
            except DomainError as error:
                log.warning("uploads not looked after", error=repr(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK.total_seconds()):
                    await self._woken.wait()

    async def _work(self, claim: Claim) -> None:
        working = asyncio.create_task(self._process(claim), name=f"upload {claim.upload.id}")
        try:
            while not working.done():
                await asyncio.wait([working], timeout=self._lease.total_seconds() / 3)
                if not working.done() and not await self._still_ours(claim):
                    log.warning("lease of an upload lost", upload=claim.upload.id)
                    return
        except asyncio.CancelledError:
            # The process stops: another one need not wait for the lease.
            await cancel(working)
            with suppress(DomainError):
                await self._parts.release(claim, timedelta(0), counted=False)
            raise
        finally:
            if not working.done():
                await cancel(working)
        working.result()

    async def _still_ours(self, claim: Claim) -> bool:
        try:
            return await self._parts.renew(claim, self._lease)
        except Unavailable:
            return True  # the database is away, and nothing is written: the debt file has a lease of its own

    async def _process(self, claim: Claim) -> None:
        said, upload_id = claim.upload.said, claim.upload.id
        try:
            pieces = self._contents[claim.upload.way](claim.upload)
            async with aclosing(pieces), aclosing(verified(said, pieces)) as content:
                await self._uploads.upload(replace(upload_of(said, upload_id), resumable=True), content)
        except Exception as error:
            if not isinstance(error, DomainError):
                log.exception("upload failed", upload=upload_id)
            if await self._goes_on(claim, error):
                # Neither a place that is missing nor somebody else who works on the file is a fault.
                counted = not isinstance(error, TooManyUploads | ResourceExists)
                await self._parts.release(claim, _AGAIN, counted=counted)
                return
            # Where there is a debt file, it says so itself. Whoever put an object into the inbox has no id to ask for.
            why = error.message if isinstance(error, DomainError) else _OUR_FAULT
            log.warning("upload refused", upload=upload_id, object=claim.upload.object_key, error=why)
            await self._store.fail(upload_id, why)
        await self._parts.end(claim)

    async def _goes_on(self, claim: Claim, error: Exception) -> bool:
        """Whether the upload is to be worked on again: what broke off may go on, unless its file has ended."""
        if isinstance(error, TooManyUploads):
            return True
        if isinstance(error, DomainError) and not isinstance(error, Unavailable | ResourceExists):
            return False
        if claim.attempts >= _ATTEMPTS and not isinstance(error, ResourceExists):
            return False
        try:
            return not (await self._files.get(claim.upload.id)).state.final
        except ResourceNotFound:
            return True
