"""The content of an announced file as it comes, held to what was announced."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator

from services.ingestion.domain.debts.announced_upload import Announcement
from services.ingestion.domain.debts.upload_errors import UploadMismatch


def check_head(said: Announcement, content_type: str, size: int | None) -> None:
    """What can be known before the content comes. Raises UploadMismatch."""
    kind = content_type.partition(";")[0].strip().lower()
    if said.content_type and kind != said.content_type.lower():
        raise UploadMismatch("contentType", said.content_type, kind or "none")
    if size is not None and size != said.size:
        raise UploadMismatch("size", f"{said.size} bytes", f"{size} bytes")


async def verified(said: Announcement, pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The pieces. Raises UploadMismatch as soon as there are too many bytes, and in place of the end when they are too
    few or have another checksum: what takes them in sees no end then, and registers nothing."""
    seen, digest = 0, hashlib.sha256() if said.sha256 else None
    async for piece in pieces:
        seen += len(piece)
        if seen > said.size:
            raise UploadMismatch("size", f"{said.size} bytes", "more")
        if digest is not None:
            digest.update(piece)
        yield piece
    if seen != said.size:
        raise UploadMismatch("size", f"{said.size} bytes", f"{seen} bytes")
    if digest is not None and digest.hexdigest() != said.sha256:
        raise UploadMismatch("sha256", said.sha256, digest.hexdigest())
