"""What alarms need of the world outside, by role."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.aggregation.domain.alarms.alarm import Alarm, Memory, State
from services.aggregation.domain.alarms.rule import AlarmRule, Audience
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.sensor_types import SensorTypeInfo


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """What a list of alarms lets through; empty: everything."""

    building: str = ""
    room: str = ""
    sensor_type: str = ""
    rule: str = ""
    states: tuple[State, ...] = ()


class AlarmRuleStore(Protocol):
    """The rules. Every change is told to all replicas."""

    async def create(self, rule: AlarmRule, limit: int) -> AlarmRule:
        """The stored rule. Raises AlarmRuleExists, and TooManyAlarmRules when there are `limit` already."""
        ...

    async def get(self, id_: str) -> AlarmRule:
        """Raises AlarmRuleNotFound."""
        ...

    async def list_rules(self, after: str | None, limit: int) -> list[AlarmRule]:
        """By id, beginning after `after`."""
        ...

    async def update(self, id_: str, change: Callable[[AlarmRule], AlarmRule]) -> AlarmRule:
        """Stores what `change` makes of the rule; nobody else changes it meanwhile. It gets another generation when it
        evaluates otherwise than before. Raises AlarmRuleNotFound."""
        ...

    async def delete(self, id_: str) -> None:
        """Raises AlarmRuleNotFound."""
        ...

    async def all_rules(self) -> list[AlarmRule]:
        """By id."""
        ...

    async def count_series(self, scopes: Sequence[Scope], limit: int) -> Sequence[int]:
        """How many series there are now in each scope, counted up to `limit`."""
        ...


class SensorTypes(Protocol):
    """What is known of the sensor types of the catalogue."""

    async def sensor_types(self) -> Mapping[str, SensorTypeInfo]:
        """By id; a new one comes a moment after the catalogue has it."""
        ...


class AlarmStore(Protocol):
    """The alarms, for people."""

    async def get(self, id_: str) -> Alarm:
        """Raises AlarmNotFound."""
        ...

    async def list_alarms(self, wanted: AlarmFilter, before: tuple[int, str] | None, limit: int) -> list[Alarm]:
        """The latest start first (then the greatest id), beginning before (start, id)."""
        ...

    async def acknowledge(self, id_: str, by: str, note: str) -> Alarm:
        """The alarm, acknowledged now or before. Raises AlarmNotFound, and AlarmNotRaised for one that is pending or
        cleared."""
        ...

    async def close(self, id_: str, by: str, reason: str, audience: Audience | None) -> Alarm:
        """The alarm, closed by hand now or before; that it is over is told. Until its condition has ended it is among
        the open ones of its owner. Raises AlarmNotFound, and AlarmNotRaised for one that is pending or cleared by
        itself."""
        ...


class OpenAlarms(NamedTuple):
    """What is stored of a partition's alarms that are not cleared."""

    alarms: Sequence[Alarm]
    memories: Sequence[Memory]


class OpenAlarmStore(Protocol):
    """What the owner of a partition takes up. It is stored by `PartitionStore.commit`."""

    async def open_alarms(self, partition: int) -> OpenAlarms:
        """Of all series of the partition."""
        ...

    async def cleared_alarms(self, series_id: int, since: int, until: int) -> Sequence[Alarm]:
        """Alarms of a series that are over (but for those that ended since a reading was amended), and that began by
        `until` and ended at `since` or later."""
        ...
