"""Tells what has happened to an alert: ingestion knows when it was accepted, media-probe the attempts, notification who
was told."""

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from services.chassis.errors import Unavailable
from services.ingestion.application.ports import Alerts, AlertWitnesses
from services.ingestion.domain.alert_history import AlertHistory, Entry, Happened, in_order

T = TypeVar("T")


class AlertHistories:
    """The use case."""

    def __init__(self, alerts: Alerts, witnesses: AlertWitnesses) -> None:
        self._alerts, self._witnesses = alerts, witnesses

    async def tell(self, uid: str) -> AlertHistory:
        """Whatever can be told of it now. Raises ResourceNotFound."""
        alert = await self._alerts.get(uid)
        accepted = [Entry(Happened.ACCEPTED, alert.create_time)] if alert.create_time is not None else []
        probes = await _told(self._witnesses.probes(uid))
        if probes is None:
            # Without the events nobody can say who was told of them.
            return AlertHistory(accepted, ("media_probe", "notification"))
        events = [probe.event for probe in probes if probe.event]
        told: Sequence[Entry] | None = await _told(self._witnesses.told(events)) if events else []
        entries = in_order(accepted, (probe.entry for probe in probes), told or ())
        return AlertHistory(entries, () if told is not None else ("notification",))


async def _told(asked: Awaitable[Sequence[T]]) -> Sequence[T] | None:
    try:
        return await asked
    except Unavailable:
        return None
