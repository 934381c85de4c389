"""What the use cases need from the world, named by role."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.ingestion.domain.alert import Alert, AlertFilter
from services.ingestion.domain.alert_history import Entry, Probe
from services.ingestion.domain.catalogue import Building, Device, Room, SensorType
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.reading_columns import Piece
from services.ingestion.domain.recent_readings import CountingValue
from services.ingestion.domain.series import Series, SeriesKey


class CountingValues(Protocol):
    """Knows which values count, of what is stored."""

    async def stored(self, readings: Sequence[tuple[SeriesKey, int]]) -> Sequence[CountingValue] | None:
        """What is stored of these (series, event time), in their order; None: nobody can say now."""
        ...


class VideoGuard(Protocol):
    """Knows where the mesh itself listens."""

    async def check(self, url: str) -> None:
        """Raises VideoNotAllowed for an absolute URL that leads there. A name that does not resolve at the moment is no
        reason: it is judged again when the video is fetched."""
        ...


class Catalogue(Protocol):
    """The stored catalogue. Lists are ordered by id and start after `after` (None: from the first)."""

    async def create_sensor_type(self, entry: SensorType) -> SensorType: ...
    async def get_sensor_type(self, name: str) -> SensorType:
        """Raises ResourceNotFound, as do all `get_...`."""
        ...

    async def list_sensor_types(self, after: str | None, limit: int) -> list[SensorType]: ...
    async def update_sensor_type(self, name: str, change: Callable[[SensorType], SensorType]) -> SensorType:
        """Applies `change` to the stored entry under a lock. Raises ResourceNotFound, and ResourceInUse when it changes
        kind or unit of a type that has readings."""
        ...

    async def delete_sensor_type(self, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse, as do all `delete_...`. A type that ever had readings stays in use:
        made anew with another kind or unit, it would mix them."""
        ...

    async def create_building(self, entry: Building) -> Building: ...
    async def get_building(self, name: str) -> Building: ...
    async def list_buildings(self, after: str | None, limit: int) -> list[Building]: ...
    async def update_building(self, name: str, change: Callable[[Building], Building]) -> Building: ...
    async def delete_building(self, name: str) -> None: ...

    async def create_room(self, entry: Room) -> Room: ...
    async def get_room(self, building: str, name: str) -> Room: ...
    async def list_rooms(self, building: str, after: str | None, limit: int) -> list[Room]:
        """Raises ResourceNotFound for an unknown building."""
        ...

    async def update_room(self, building: str, name: str, change: Callable[[Room], Room]) -> Room: ...
    async def delete_room(self, building: str, name: str) -> None: ...

    async def create_device(self, entry: Device) -> Device:
        """Raises ResourceExists; ResourceNotFound or SensorTypeUnknown for what it refers to."""
        ...

    async def get_device(self, name: str) -> Device: ...
    async def list_devices(self, after: str | None, limit: int) -> list[Device]: ...
    async def update_device(self, name: str, change: Callable[[Device], Device]) -> Device: ...
    async def delete_device(self, name: str) -> None: ...

    async def all_sensor_types(self) -> list[SensorType]: ...
    async def device_rules(self) -> Mapping[tuple[str, str], CounterRules]:
        """(device, its sensor type) -> counter rules, of the devices that have any."""
        ...

    async def register(self, keys: Sequence[SeriesKey]) -> PlaceCounts:
        """Creates the buildings, rooms and devices of the series that are missing, and marks their sensor types as
        having readings. What exists is left alone. Returns how many were created."""
        ...

    async def unknown(self, keys: Sequence[SeriesKey]) -> NamedPlaces:
        """Those places of the series that are not in the catalogue."""
        ...

    async def count_places(self, limit: int) -> PlaceCounts:
        """How many places there are of each kind; it counts no further than `limit`."""
        ...

    async def missing(self, keys: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[str, str]]:
        """The series that refer to something unknown -> its kind (`building`, `room`, `device`) and id."""
        ...

    async def register_device(self, device: Device) -> Device:
        """Creates the device, its building and room where missing; returns the stored one."""
        ...


class ReadingLane(Protocol):
    """Carries batches of readings on, durably."""

    async def publish(self, batch: Piece, message_id: str) -> None:
        """Returns once the batch is durable. The same `message_id` again is stored once. Raises StreamUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Emptied:
    """A container was emptied."""

    series: Series
    event_time_us: int
    forced: bool


class PriorityLane(Protocol):
    """Carries what bulk traffic must not delay."""

    async def publish(self, emptied: Emptied) -> None:
        """Returns once it is durable; the same device and event time is stored once. Raises StreamUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known about an idempotency key. `received_us`: when it was first used, which is the event time of
    readings that name none. `first`: nobody used it before. `done`: its effect is durable."""

    received_us: int
    first: bool
    done: bool


class IdempotencyKeys(Protocol):
    """Remembers keys for a day. A key belongs to a scope (the caller)."""

    async def claim(self, scope: str, key: str, content: bytes, now_us: int) -> Claim:
        """Records the key before its effect. Raises IdempotencyConflict for other content."""
        ...

    async def finish(self, scope: str, key: str) -> None:
        """Records that the effect is durable."""
        ...

    async def prune(self) -> int:
        """Forgets keys that are too old; returns how many."""
        ...


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A payload that no adapter understood."""

    id: str
    format: str
    payload: bytes
    reason: str
    field: str
    create_time: datetime


class Quarantine(Protocol):
    """Keeps payloads that nobody understood; bounded, the oldest go first."""

    async def keep(self, payload: Quarantined) -> None:
        """Nothing happens when one of this id is kept already."""
        ...

    async def get(self, name: str) -> Quarantined:
        """Raises ResourceNotFound."""
        ...

    async def list(self, name: str, before: str | None, limit: int) -> list[Quarantined]:
        """Newest first; those of the format `name` (all where it is empty), older than the id `before`."""
        ...

    async def remove(self, name: str) -> None: ...


class Alerts(Protocol):
    """Stored alerts."""

    async def accept(self, alert: Alert) -> Alert:
        """Stores the alert together with the event that it was reported, or returns the stored one when it has the same
        content. Raises AlertExists for other content."""
        ...

    async def get(self, uid: str) -> Alert:
        """Raises ResourceNotFound."""
        ...

    async def remove(self, before: datetime, limit: int) -> int:
        """Removes up to `limit` alerts that were accepted before then; how many."""
        ...

    async def list(self, wanted: AlertFilter, after: tuple[float, str] | None, limit: int) -> list[Alert]:
        """Up to `limit` of them, newest first, after the one with this timestamp and uid."""
        ...


class AlertWitnesses(Protocol):
    """Other services that know what has happened to an alert. All raise Unavailable where one does not answer."""

    async def probes(self, uid: str) -> Sequence[Probe]:
        """The attempts at its video."""
        ...

    async def told(self, events: Sequence[str]) -> Sequence[Entry]:
        """To whom these public events were told, or are to be."""
        ...


Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], int]
"""The time now, in microseconds since the Unix epoch."""
