"""Rejected rows, and files, go after their time."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.chassis.errors import DomainError
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts import metrics
from services.ingestion.application.debts.ports import DebtRetentionStore

log = get_logger(__name__)
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long after the end of a file its rejected rows are kept, and the file itself."""

    rejects: timedelta
    files: timedelta


class DebtRetention:
    """The job. Any number of processes may do it at once."""

    def __init__(self, store: DebtRetentionStore, options: RetentionOptions) -> None:
        self._store, self._options = store, options

    async def run(self, every: timedelta = timedelta(minutes=10)) -> None:
        """For ever; what cannot be removed now is removed the next time."""
        while True:
            try:
                await self.remove(datetime.now(UTC))
            except DomainError as error:
                log.warning("debts.retention_postponed", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    async def remove(self, now: datetime) -> tuple[int, int]:
        """How many rejected rows and files it has removed, in small pieces."""
        rejects = files = 0
        while (removed := await self._store.remove_rejects(now - self._options.rejects, _AT_ONCE)) is not None:
            rejects += removed
        while removed := await self._store.remove_files(now - self._options.files, _AT_ONCE):
            files += removed
        metrics.REMOVED.labels("rejects").inc(rejects)
        metrics.REMOVED.labels("files").inc(files)
        if rejects or files:
            log.info("debts.retention", rejects=rejects, files=files)
        return rejects, files
