"""What is known of videos goes after its time."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.chassis.errors import DomainError
from services.chassis.telemetry.logs import get_logger
from services.media_probe.application.ports import VideoStore

log = get_logger(__name__)
_AT_ONCE = 5000


class VideoRetention:
    """The job. Any number of processes may do it at once."""

    def __init__(self, store: VideoStore, keep: timedelta, count: Callable[[int], None] = lambda _: None) -> None:
        """`count` is told of how many were removed."""
        self._store, self._keep, self._count = store, keep, count

    async def run(self, every: timedelta = timedelta(minutes=10)) -> None:
        """For ever; what cannot be removed now is removed the next time."""
        while True:
            try:
                await self.remove(datetime.now(UTC))
            except DomainError as error:
                log.warning("videos.retention_postponed", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    async def remove(self, now: datetime) -> int:
        """How many it has removed, in small pieces."""
        total, before = 0, now - self._keep
        while removed := await self._store.remove(before, _AT_ONCE):
            total += removed
        self._count(total)
        if total:
            log.info("videos.retention", removed=total, before=before.isoformat())
        return total
