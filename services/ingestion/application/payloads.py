"""Vendor payloads: understood, tried, forced, and kept in quarantine when nobody understands them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from services.chassis.errors import DomainError, FailedPrecondition, InvalidArgument, NotFound
from services.chassis.ids import new_id
from services.chassis.paging import Page, PageTokens, fetch_page_by_id
from services.ingestion.application import metrics
from services.ingestion.application.ports import Clock, Emptied, PriorityLane, Quarantine, Quarantined
from services.ingestion.application.reading_group_commit import ReadingGroupCommit
from services.ingestion.application.series_directory import SeriesDirectory
from services.ingestion.domain.catalogue import UNASSIGNED, Device, Kind
from services.ingestion.domain.errors import NotALevel, PayloadNotUnderstood, ResourceNotFound, TooManyPlaces
from services.ingestion.domain.formats.payload import PayloadReading
from services.ingestion.domain.formats.registry import FORMATS, decode
from services.ingestion.domain.reading import (
    Rejection,
    StoredReading,
    TimeLimits,
    canonical_value,
    check_event_time,
    to_datetime,
)
from services.ingestion.domain.recent_readings import Conflict
from services.ingestion.domain.series import Series, SeriesKey

NO_FORMAT = "unknown"
"""Under this name stands in the quarantine what names no format."""
_accepted = metrics.ACCEPTED.labels("payload")
_priority = metrics.ACCEPTED.labels("priority")


@dataclass(frozen=True, slots=True)
class PayloadAccepted:
    """The readings that are durable; `priority`: they went over the priority lane; `conflicts`: those whose event time
    had another value, as far as is known."""

    readings: Sequence[StoredReading]
    priority: bool
    conflicts: Sequence[Conflict] = ()


@dataclass(frozen=True, slots=True)
class PayloadReceived:
    """A payload of a sender that cannot be told what is wrong with it. `id`: its name in the quarantine, the same
    whenever it is delivered."""

    id: str
    format: str
    payload: bytes
    received: datetime


@dataclass(frozen=True, slots=True)
class PayloadTried:
    """What an adapter makes of a payload."""

    readings: Sequence[StoredReading]
    warnings: Sequence[str]
    errors: Sequence[Rejection]


class Payloads:
    """The use cases."""

    def __init__(
        self,
        directory: SeriesDirectory,
        group_commit: ReadingGroupCommit,
        priority: PriorityLane,
        quarantine: Quarantine,
        *,
        clock: Clock,
        limits: TimeLimits,
    ) -> None:
        self._directory = directory
        self._group_commit = group_commit
        self._priority = priority
        self._quarantine = quarantine
        self._clock = clock
        self._limits = limits

    async def submit(self, format_name: str, payload: bytes) -> PayloadAccepted:
        """Raises FormatUnknown, PayloadNotUnderstood (the payload is in quarantine then), and what a reading raises."""
        try:
            found = decode(format_name, payload)
        except PayloadNotUnderstood as error:
            name = new_id()
            received = PayloadReceived(name, format_name, payload, to_datetime(self._clock()))
            await self._keep(received, error.field, error.problem)
            error.metadata.update(format=format_name, quarantineId=name)
            raise
        return await self._accept(format_name, found)

    async def take(self, received: PayloadReceived) -> PayloadAccepted | None:
        """As `submit`, for a sender that cannot be told: whatever is wrong, an unknown format or a reading that is
        refused among it, the payload is kept in quarantine, once (None then). Raises what a later try may not meet."""
        try:
            return await self._accept(received.format, decode(received.format, received.payload))
        except (InvalidArgument, NotFound, FailedPrecondition, TooManyPlaces) as error:
            refusal = Rejection(0, error)
            await self._keep(received, refusal.field, refusal.message)
            return None

    async def set_aside(self, received: PayloadReceived, problem: str) -> None:
        """Keeps in quarantine, once, what came without the name of a format."""
        await self._keep(replace(received, format=NO_FORMAT), "format", problem)

    async def _keep(self, received: PayloadReceived, field: str, problem: str) -> None:
        await self._quarantine.keep(
            Quarantined(received.id, received.format, received.payload, problem, field, received.received)
        )
        metrics.QUARANTINED.labels(received.format if received.format in FORMATS else "unknown").inc()

    async def replay(self, name: str) -> PayloadAccepted:
        """Tries a quarantined payload again; it leaves the quarantine when it is accepted. Raises what it meets."""
        kept = await self._quarantine.get(name)
        try:
            found = decode(kept.format, kept.payload)
        except PayloadNotUnderstood as error:
            error.metadata.update(format=kept.format, quarantineId=name)
            raise
        accepted = await self._accept(kept.format, found)
        await self._quarantine.remove(name)
        return accepted

    async def test(self, format_name: str, payload: bytes) -> PayloadTried:
        """What would become of the payload; nothing is stored. Raises FormatUnknown."""
        try:
            found = decode(format_name, payload)
        except PayloadNotUnderstood as error:
            return PayloadTried((), (), (Rejection(0, error),))
        warnings = list(found.warnings)
        try:
            device = await self._directory.device(found.device)
        except ResourceNotFound:
            warnings.append(f"the device {found.device} is not in the catalogue")
            device = _unassigned(found, format_name)
        try:
            series = self._directory.expected(_key(device))
            return PayloadTried((StoredReading(series, *self._judge(series, found)),), warnings, ())
        except DomainError as error:
            return PayloadTried((), warnings, (Rejection(0, error),))

    async def empty(self, name: str) -> StoredReading:
        """Forces an "emptied" event, now. Raises ResourceNotFound, NotALevel or StreamUnavailable."""
        device = await self._directory.device(name)
        if self._directory.sensor_type(device.sensor_type).kind is not Kind.LEVEL:
            raise NotALevel(name, device.sensor_type)
        series = await self._directory.one(_key(device))
        reading = StoredReading(series, self._clock(), 0.0)
        await self._priority.publish(Emptied(series, reading.event_time_us, forced=True))
        _priority.inc()
        return reading

    async def quarantined(self, format_name: str, size: int, token: str) -> Page[Quarantined]:
        """A page of the quarantine, newest first."""
        tokens = PageTokens("quarantine", format=format_name)
        return await fetch_page_by_id(
            tokens, size, token, partial(self._quarantine.list, format_name), lambda kept: kept.id
        )

    async def _accept(self, format_name: str, found: PayloadReading) -> PayloadAccepted:
        try:
            device = await self._directory.device(found.device)
            known = True
        except ResourceNotFound:
            device, known = _unassigned(found, format_name), False
        # Judged by what the device is or would be, before it is registered: a refused payload registers nothing.
        event_time_us, value = self._judge(self._directory.expected(_key(device)), found)
        if not known:
            device = await self._directory.device_or_new(found.device, format_name, found.sensor_type)
        series = await self._directory.one(_key(device))
        reading = StoredReading(series, event_time_us, value)
        if found.emptied:
            await self._priority.publish(Emptied(series, reading.event_time_us, forced=False))
            _priority.inc()
        else:
            conflict = await self._group_commit.submit_row(series, reading.event_time_us, reading.value, found.flags)
            _accepted.inc()
            if conflict is not None:
                return PayloadAccepted((reading,), False, (conflict._replace(row=0),))
        return PayloadAccepted((reading,), found.emptied)

    def _judge(self, series: Series, found: PayloadReading) -> tuple[int, float]:
        """Event time and canonical value."""
        value = canonical_value(found.value, found.unit, series)
        return check_event_time(found.event_time_us, self._clock(), self._limits), value


def _unassigned(found: PayloadReading, format_name: str) -> Device:
    return Device(found.device, format_name, UNASSIGNED, UNASSIGNED, found.sensor_type)


def _key(device: Device) -> SeriesKey:
    return SeriesKey(device.building, device.room, device.sensor_type, device.id)
