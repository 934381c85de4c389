"""Which series a rule evaluates: those in its scope that are of a kind that its condition is for."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from services.aggregation.domain.alarms.rule import AlarmRule, Condition, ContainerEmptied, ContainerFull
from services.aggregation.domain.series import Kind, SeriesKey

MAX_COUNTED: Final = 1000
"""Series are counted up to this many."""


class Part(IntEnum):
    """A part of a scope; the numbers are those of the contract."""

    SENSOR_TYPE = 1
    BUILDING = 2
    ROOM = 3
    DEVICE = 4
    KIND = 5


class Scope(NamedTuple):
    """Series of a sensor type. Empty, and `kind` None: every one."""

    sensor_type: str
    building: str = ""
    room: str = ""
    device: str = ""
    kind: Kind | None = None

    def holds(self, key: SeriesKey, kind: int) -> bool:
        """Whether the series is one of them."""
        pairs = (
            (self.building, key.building),
            (self.room, key.room),
            (self.device, key.device),
        )
        return (
            self.sensor_type == key.sensor_type
            and all(wanted in ("", own) for wanted, own in pairs)
            and self.kind in (None, kind)
        )


class Match(NamedTuple):
    """How many series a rule evaluates, up to `MAX_COUNTED`; why none."""

    series: int
    unmatched: Part | None = None


def condition_kind(condition: Condition) -> Kind | None:
    """The only kind that the condition is for; None: any."""
    return Kind.LEVEL if isinstance(condition, ContainerFull | ContainerEmptied) else None


def scope_of(rule: AlarmRule) -> Scope:
    """Of all that the rule evaluates."""
    return Scope(rule.sensor_type, rule.building, rule.room, rule.device, condition_kind(rule.condition))


def narrowing(rule: AlarmRule) -> Sequence[tuple[Part, Scope]]:
    """From the sensor type to the whole scope, part by part."""
    scope = Scope(rule.sensor_type)
    found = [(Part.SENSOR_TYPE, scope)]
    for part, more in (
        (Part.BUILDING, {"building": rule.building}),
        (Part.ROOM, {"room": rule.room}),
        (Part.DEVICE, {"device": rule.device}),
    ):
        if any(more.values()):
            scope = scope._replace(**more)
            found.append((part, scope))
    kind = condition_kind(rule.condition)
    return found if kind is None else [*found, (Part.KIND, scope._replace(kind=kind))]
