"""Alerts go after their time."""

import asyncio
from datetime import UTC, datetime, timedelta

from services.chassis.errors import DomainError
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application import metrics
from services.ingestion.application.ports import Alerts

log = get_logger(__name__)
_AT_ONCE = 5000
_VIDEOS_FIRST = timedelta(days=1)
"""media-probe removes what it knows of a video before its alert goes: the uid may be used again then."""


class AlertRetention:
    """The job. Any number of processes may do it at once."""

    def __init__(self, alerts: Alerts, keep: timedelta) -> None:
        self._alerts, self._keep = alerts, keep

    async def run(self, every: timedelta = timedelta(minutes=10)) -> None:
        """For ever; what cannot be removed now is removed the next time."""
        while True:
            try:
                await self.remove(datetime.now(UTC))
            except DomainError as error:
                log.warning("alerts.retention_postponed", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    async def remove(self, now: datetime) -> int:
        """How many it has removed, in small pieces."""
        total, before = 0, now - self._keep - _VIDEOS_FIRST
        while removed := await self._alerts.remove(before, _AT_ONCE):
            total += removed
        metrics.ALERTS_REMOVED.inc(total)
        if total:
            log.info("alerts.retention", removed=total, before=before.isoformat())
        return total
