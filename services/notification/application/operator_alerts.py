"""Tells operators of dead letters: once for a storm, with counts and the first of them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.dead_letters import AlertLog
from services.notification.domain.dead_letter import LetterAlert
from services.notification.domain.delivery import Failure, Outcome

log = get_logger(__name__)


class Way(Protocol):
    """A way to operators: one address of one channel."""

    async def __call__(self, alert: LetterAlert) -> Outcome:
        """One attempt, bounded in time; the alert's id is that of the message, so that repeats can be told."""
        ...


class OperatorAlerts:
    """Tells what has come since the last time, by every way, and then nothing for `pause`."""

    def __init__(self, alerts: AlertLog, ways: Mapping[str, Way], pause: timedelta) -> None:
        self._alerts = alerts
        self._ways = ways
        self._pause = pause

    async def tell(self) -> LetterAlert | None:
        """What was told, if there was anything. A way that fails, and not for good, is tried again a minute later; the
        others are not told again."""
        claimed = await self._alerts.claim_alert()
        if claimed is None:
            return None
        alert, told = claimed
        counts = {f"{service}/{consumer} {class_}": count for service, consumer, class_, count in alert.counts}
        if not told:
            log.critical(
                "dead_letters.operator_needed", total=alert.total, counts=counts, first=alert.examples[0].reason
            )
        complete = True
        for name, way in self._ways.items():
            if name not in told:
                complete &= await self._try(name, way, alert)
        if complete:
            await self._alerts.complete_alert(alert, self._pause)
        return alert

    async def _try(self, name: str, way: Way, alert: LetterAlert) -> bool:
        outcome = await way(alert)
        if isinstance(outcome, Failure):
            log.error("dead_letters.operator_not_told", way=name, code=outcome.code, error=outcome.message)
            if not outcome.hopeless:
                return False
        await self._alerts.told(name)
        return True
