"""PDFs in a bucket of an S3-compatible object storage."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from services.chassis.errors import Unavailable
from services.chassis.object_storage import Bucket
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)

_PREFIX: Final = "invoices/"
_SECOND: Final = timedelta(seconds=1)
"""Times of objects are told to the second."""
_LEAST_PAUSE: Final = timedelta(minutes=1)
_MOST_PAUSE: Final = timedelta(hours=1)


class S3Documents:
    """DocumentStore. What has expired is not found any more, and removed by `remove_expired`."""

    def __init__(
        self, bucket: Bucket, *, ttl: timedelta, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._bucket, self._ttl, self._now = bucket, ttl, now

    async def put(self, name: str, content: bytes) -> None:
        """See DocumentStore."""
        await self._bucket.put(_PREFIX + name, content)

    async def get(self, name: str) -> bytes | None:
        """See DocumentStore."""
        found = await self._bucket.get(_PREFIX + name)
        return None if found is None or self._expired(found.modified) else found.content

    async def remove_expired(self) -> int:
        """Removes what has expired, and counts it. Raises Unavailable."""
        removed = 0
        async for found in self._bucket.objects(_PREFIX):
            if self._expired(found.modified):
                await self._bucket.delete(found.key)
                removed += 1
        return removed

    async def keep_removing(self) -> None:
        """Removes what has expired, for ever."""
        pause = min(max(self._ttl / 10, _LEAST_PAUSE), _MOST_PAUSE)
        while True:
            try:
                if removed := await self.remove_expired():
                    log.info("documents.expired", removed=removed)
            except Unavailable as error:
                log.warning("documents.not_removed", error=error.message)
            await asyncio.sleep(pause.total_seconds())

    def _expired(self, modified: datetime) -> bool:
        return self._now() > modified + self._ttl + _SECOND
