"""What is worth an alarm, where, and whom to tell. All times in microseconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from services.aggregation.domain.errors import FieldInvalid, StepUnknown
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Kind, SeriesKey
from services.aggregation.domain.times import MINUTE, SECOND


class Severity(IntEnum):
    """How bad it is; the numbers are those of the contract."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3


class Direction(IntEnum):
    """Which changes a RateOfChange evaluates; the numbers are those of the contract."""

    EITHER = 1
    RISING = 2
    FALLING = 3


@dataclass(frozen=True, slots=True)
class Threshold:
    """Values beyond `limit` for `min_duration`; it is over when one is `hysteresis` back on the good side. `holds`: a
    value stands until the next one."""

    above: bool
    limit: float
    hysteresis: float = 0.0
    min_duration: int = 0
    holds: bool = False


@dataclass(frozen=True, slots=True)
class Completeness:
    """A closed window of `step` of which less than `below` was received (or, with `covered`, covered)."""

    below: float
    covered: bool = False
    step: int = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class NoData:
    """Nothing newer for `after`."""

    after: int


@dataclass(frozen=True, slots=True)
class FlatLine:
    """Values within `tolerance` of the first of them for `duration`. `holds`: a value stands until the next one."""

    duration: int
    tolerance: float = 0.0
    holds: bool = False


@dataclass(frozen=True, slots=True)
class RateOfChange:
    """A change steeper than `limit_per_hour`, between readings that are `over` apart or a little more; neighbours when
    it is 0."""

    limit_per_hour: float
    direction: Direction = Direction.EITHER
    over: int = 0


@dataclass(frozen=True, slots=True)
class ContainerFull:
    """A level at or above `level`."""

    level: float


@dataclass(frozen=True, slots=True)
class ContainerEmptied:
    """The level falls to 0."""


Condition: TypeAlias = Threshold | Completeness | NoData | FlatLine | RateOfChange | ContainerFull | ContainerEmptied

KINDS: Final[dict[type[Condition], str]] = {
    Threshold: "THRESHOLD",
    Completeness: "COMPLETENESS",
    NoData: "NO_DATA",
    FlatLine: "FLAT_LINE",
    RateOfChange: "RATE_OF_CHANGE",
    ContainerFull: "CONTAINER_FULL",
    ContainerEmptied: "CONTAINER_EMPTIED",
}
"""Names of the kinds, as people and programs see them."""


class Audience(NamedTuple):
    """Whom to notify, on behalf of which tenant, and under which title; `cleared`: of the end, too."""

    tenant: str
    users: Sequence[str]
    title: str
    cleared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """A rule. `generation` is another number whenever it is to be evaluated anew, and never used twice."""

    id: str
    sensor_type: str
    condition: Condition
    title: str = ""
    building: str = ""
    room: str = ""
    device: str = ""
    severity: Severity = Severity.WARNING
    disabled: bool = False
    tenant: str = ""
    notify: tuple[str, ...] = ()
    notify_cleared: bool = False
    unit: str = ""
    """In which people give limits and read of them; empty: the canonical one. `condition` is in the canonical one."""
    canonical_unit: str = ""
    generation: int = 0
    created: datetime | None = None
    updated: datetime | None = None

    @property
    def kind(self) -> str:
        """Name of the condition's kind."""
        return KINDS[type(self.condition)]

    @property
    def audience(self) -> Audience:
        """Whom to notify; perhaps nobody."""
        return Audience(self.tenant, self.notify, self.title or self.id, self.notify_cleared)

    @property
    def scope(self) -> tuple[str, str, str, str]:
        """Building, room, sensor type and device; empty where every one is meant."""
        return self.building, self.room, self.sensor_type, self.device

    def evaluates_like(self, other: "AlarmRule") -> bool:
        """Whether open alarms and what is remembered of one go on under the other."""
        return (self.scope, self.condition, self.disabled) == (other.scope, other.condition, other.disabled)

    def check(self, rules: Rules) -> None:
        """What the contract's own rules cannot say. Raises FieldInvalid or StepUnknown."""
        if self.room and not self.building:
            raise FieldInvalid("rule.building", "is required with a room", "ROOM_NEEDS_BUILDING")
        if self.notify and not self.tenant:
            raise FieldInvalid("rule.tenant", "is required with notify", "NOTIFY_NEEDS_TENANT")
        if isinstance(self.condition, Completeness) and self.condition.step not in rules.steps:
            known = ", ".join(f"{step // SECOND}s" for step in rules.steps)
            raise StepUnknown(f"{self.condition.step / SECOND:g}s", known, "rule.completeness.step")


def stands(condition: Condition, kind: Kind) -> bool:
    """Whether a value of the kind stands until the next one, so that time alone may meet the condition."""
    if not isinstance(condition, Threshold | ContainerFull | FlatLine):
        return False
    return kind == Kind.LEVEL or (not isinstance(condition, ContainerFull) and condition.holds)


def scopes_of(key: SeriesKey) -> Sequence[tuple[str, str, str, str]]:
    """Every scope that a series can be in."""
    building, room, sensor_type, device = key
    places = ((building, room), (building, ""), ("", ""))
    devices = (device, "") if device else ("",)
    return [(*place, sensor_type, name) for place in places for name in devices]
