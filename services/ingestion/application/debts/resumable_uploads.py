"""Debt files that come in parts: what came is kept, whatever breaks off."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from services.ingestion.application.debts.announced_ports import UploadPartStore
from services.ingestion.application.debts.announced_uploads import AnnouncedUploads
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, UploadWay
from services.ingestion.domain.debts.errors import TooManyUploads, TooSlow
from services.ingestion.domain.debts.upload_errors import ChecksumMismatch, UploadEnded, UploadMismatch

PART_SIZE: Final = 2 * 1024 * 1024
"""What is committed together, and at most lost when a process dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOptions:
    """`streams`: at a time, each of which holds a part in memory. `idle`: how long a client may send nothing; `within`:
    how long a stream may last."""

    streams: int = 32
    idle: timedelta = timedelta(minutes=1)
    within: timedelta = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class AppendHead:
    """What comes before the bytes: where they belong, how many they are (None: nobody knows), and the name of an
    algorithm of hashlib and the checksum by it (empty: none)."""

    upload_id: str
    offset: int
    size: int | None
    algorithm: str
    checksum: bytes


class ResumableUploads:
    """The use case. `whole` is called whenever an upload has become WHOLE."""

    def __init__(
        self, announced: AnnouncedUploads, store: UploadPartStore, whole: Callable[[], None], options: AppendOptions
    ) -> None:
        self._announced, self._store, self._whole, self._options = announced, store, whole, options
        self._running = 0

    async def append(self, head: AppendHead, pieces: AsyncIterator[bytes]) -> AnnouncedUpload:
        """The upload with what is received now. Raises ResourceNotFound, also for an upload of another caller,
        UploadExpired, UploadEnded, UploadOffset, UploadMismatch, ChecksumMismatch, TooSlow and TooManyUploads."""
        upload = await self._announced.get(head.upload_id)
        if upload.way is not UploadWay.RESUMABLE:
            raise UploadEnded(upload.id, f"for one {upload.way.value}")
        if head.offset + (head.size or 0) > upload.said.size:
            raise UploadMismatch("size", f"{upload.said.size} bytes", f"{head.offset + (head.size or 0)} bytes")
        if self._running >= self._options.streams:
            raise TooManyUploads(self._options.streams)
        self._running += 1
        try:
            writer = await self._store.attach(upload.id, head.offset)
            stream = _Stream(self._store, upload, head, writer)
            received = await self._receive(stream, pieces)
            made = await self._store.keep(upload.id, writer, received)
        finally:
            self._running -= 1
        if made.received == made.said.size:
            self._whole()
        return made

    async def _receive(self, stream: "_Stream", pieces: AsyncIterator[bytes]) -> int:
        idle = self._options.idle.total_seconds()
        try:
            async with asyncio.timeout(self._options.within.total_seconds()):
                while True:
                    async with asyncio.timeout(idle):
                        piece = await anext(pieces, None)
                    if piece is None:
                        return await stream.finish()
                    await stream.add(piece)
        except TimeoutError:
            await stream.store_rest()
            within = self._options.within.total_seconds()
            raise TooSlow(stream.end, f"a pause of at most {idle:g} s, and {within:g} s in all") from None
        except asyncio.CancelledError:
            # What came is kept, also while the process stops.
            await asyncio.shield(stream.store_rest())
            raise


class _Stream:
    """The bytes of one call, gathered to parts."""

    def __init__(self, store: UploadPartStore, upload: AnnouncedUpload, head: AppendHead, writer: str) -> None:
        self._store, self._upload, self._head, self._writer = store, upload, head, writer
        self._digest = hashlib.new(head.algorithm, usedforsecurity=False) if head.algorithm else None
        self._gathered: list[bytes] = []
        self._start = head.offset
        self.end = head.offset
        """The offset behind all that has come."""

    async def add(self, piece: bytes) -> None:
        """Raises UploadMismatch when there are more bytes than were announced."""
        if self.end + len(piece) > self._upload.said.size:
            raise UploadMismatch("size", f"{self._upload.said.size} bytes", "more")
        if self._digest is not None:
            self._digest.update(piece)
        self._gathered.append(piece)
        self.end += len(piece)
        if self.end - self._start >= PART_SIZE:
            await self._store_part()

    async def finish(self) -> int:
        """The offset up to which all is stored. Raises ChecksumMismatch."""
        if self._digest is not None and self._digest.digest() != self._head.checksum:
            raise ChecksumMismatch(self._head.checksum.hex(), self._digest.hexdigest())
        await self._store_part()
        return self.end

    async def store_rest(self) -> None:
        """Keeps what came before the stream broke off. Of a stream with a checksum nothing is."""
        if self._digest is None:
            await self._store_part()

    async def _store_part(self) -> None:
        if self._gathered:
            part = b"".join(self._gathered)
            await self._store.append(self._upload.id, self._writer, self._start, part, keep=self._digest is None)
            self._gathered, self._start = [], self.end
