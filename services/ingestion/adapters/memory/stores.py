"""The other stores and lanes in memory: for tests and experiments."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.ingestion.application.ports import Claim, Emptied, Quarantined
from services.ingestion.domain.alert import Alert, AlertFilter, Report, moves
from services.ingestion.domain.errors import AlertExists, IdempotencyConflict, ResourceNotFound, StreamUnavailable
from services.ingestion.domain.reading_columns import Piece
from services.ingestion.domain.recent_readings import CountingValue
from services.ingestion.domain.series import SeriesKey


class MemoryLane:
    """The port `ReadingLane`. `refuse` decides which batches fail; `gate`, while it is cleared, holds all back."""

    def __init__(self, refuse: Callable[[Piece], bool] = lambda _: False) -> None:
        self.stored: dict[str, Piece] = {}
        self.attempts = 0
        self.refuse = refuse
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, batch: Piece, message_id: str) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.refuse(batch):
            raise StreamUnavailable("refused")
        self.stored.setdefault(message_id, batch)

    def rows(self) -> list[tuple[str, int, float]]:
        """(device, event time, value) of everything stored."""
        return [
            (batch.series[at].key.device, event_time_us, value)
            for batch in self.stored.values()
            for at, event_time_us, value in zip(
                batch.index.tolist(), batch.event_time_us.tolist(), batch.value.tolist(), strict=True
            )
        ]


class MemoryCountingValues:
    """The port `CountingValues`. `known`: what is stored; nothing of all else. `silent`: nobody answers."""

    def __init__(self) -> None:
        self.known: dict[tuple[SeriesKey, int], CountingValue] = {}
        self.silent = False
        self.asked = 0

    async def stored(self, readings: Sequence[tuple[SeriesKey, int]]) -> Sequence[CountingValue] | None:
        self.asked += 1
        return None if self.silent else [self.known.get(reading, CountingValue(stored=False)) for reading in readings]


class MemoryPriority:
    """The port `PriorityLane`."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, int], Emptied] = {}

    async def publish(self, emptied: Emptied) -> None:
        self.stored.setdefault((emptied.series.key.device, emptied.event_time_us), emptied)


@dataclass(slots=True)
class _Key:
    content: bytes
    received_us: int
    done: bool = False


class MemoryIdempotencyKeys:
    """The port `IdempotencyKeys`."""

    def __init__(self, lifetime_us: int = 24 * 3600 * 1_000_000) -> None:
        self._keys: dict[tuple[str, str], _Key] = {}
        self._lifetime_us = lifetime_us
        self._now_us = 0

    async def claim(self, scope: str, key: str, content: bytes, now_us: int) -> Claim:
        self._now_us = now_us
        kept = self._keys.get((scope, key))
        if kept is None or kept.received_us < now_us - self._lifetime_us:
            self._keys[scope, key] = _Key(content, now_us)
            return Claim(now_us, first=True, done=False)
        if kept.content != content:
            raise IdempotencyConflict(key)
        return Claim(kept.received_us, first=False, done=kept.done)

    async def finish(self, scope: str, key: str) -> None:
        self._keys[scope, key].done = True

    async def prune(self) -> int:
        old = [name for name, kept in self._keys.items() if kept.received_us < self._now_us - self._lifetime_us]
        for name in old:
            del self._keys[name]
        return len(old)


class MemoryQuarantine:
    """The port `Quarantine`."""

    def __init__(self, *, limit: int = 5000) -> None:
        self._kept: dict[str, Quarantined] = {}
        self._limit = limit

    async def keep(self, payload: Quarantined) -> None:
        self._kept.setdefault(payload.id, payload)
        for name in sorted(self._kept)[: -self._limit]:
            del self._kept[name]

    async def get(self, name: str) -> Quarantined:
        if name not in self._kept:
            raise ResourceNotFound("quarantined payload", name)
        return self._kept[name]

    async def list(self, name: str, before: str | None, limit: int) -> list[Quarantined]:
        newest_first = sorted(self._kept.values(), key=lambda kept: kept.id, reverse=True)
        matching = [kept for kept in newest_first if not name or kept.format == name]
        return [kept for kept in matching if before is None or kept.id < before][:limit]

    async def remove(self, name: str) -> None:
        self._kept.pop(name, None)


class MemoryAlerts:
    """The port `Alerts`; `reported` are the events."""

    def __init__(self) -> None:
        self._alerts: dict[str, Alert] = {}
        self._versions: dict[str, int] = {}
        self.reported: list[Alert] = []

    async def accept(self, alert: Alert) -> Alert:
        if (stored := self._alerts.get(alert.uid)) is not None:
            if not stored.same_content(alert):
                raise AlertExists(alert.uid)
            return stored
        now = datetime.now(UTC)
        self._alerts[alert.uid] = new = replace(alert, create_time=now, update_time=now)
        self.reported.append(new)
        return new

    async def get(self, uid: str) -> Alert:
        if uid not in self._alerts:
            raise ResourceNotFound("alert", uid)
        return self._alerts[uid]

    async def remove(self, before: datetime, limit: int) -> int:
        old = [uid for uid, alert in self._alerts.items() if alert.create_time and alert.create_time < before][:limit]
        for uid in old:
            del self._alerts[uid]
            self._versions.pop(uid, None)
        return len(old)

    async def list(self, wanted: AlertFilter, after: tuple[float, str] | None, limit: int) -> list[Alert]:
        found = [
            alert
            for alert in self._alerts.values()
            if (after is None or _position(alert) < after)
            and (not wanted.store or alert.store == wanted.store)
            and (wanted.state is None or alert.state is wanted.state)
            and (wanted.since is None or alert.timestamp >= wanted.since)
            and (wanted.until is None or alert.timestamp < wanted.until)
        ]
        return sorted(found, key=_position, reverse=True)[:limit]

    async def move(self, report: Report) -> None:
        """As the consumer of video events does."""
        alert, version = self._alerts.get(report.uid), self._versions.get(report.uid, 0)
        if alert is not None and moves(alert.state, version, report):
            self._versions[report.uid] = report.version or version
            self._alerts[report.uid] = replace(
                alert, state=report.state, reason=report.reason, update_time=datetime.now(UTC)
            )


def _position(alert: Alert) -> tuple[float, str]:
    return alert.timestamp, alert.uid
