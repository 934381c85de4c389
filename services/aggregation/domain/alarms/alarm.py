"""An alarm: one occasion on which a rule was met by one series. All times in microseconds."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple

from services.aggregation.domain.alarms.rule import Audience, Severity
from services.aggregation.domain.series import SeriesKey


class State(IntEnum):
    """Where an alarm stands; the numbers are those of the contract."""

    PENDING = 1
    RAISED = 2
    ACKNOWLEDGED = 3
    CLEARED = 4


class Cause(IntEnum):
    """Why an alarm is cleared; the numbers are those of the contract."""

    NONE = 0
    CONDITION_ENDED = 1
    CLOSED_BY_HAND = 2
    DEVICE_LEFT = 3
    RULE_CHANGED = 4
    READING_AMENDED = 5


class Revocation(NamedTuple):
    """That an alarm was none, by what somebody has made of the reading since."""

    time: datetime
    by: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Alarm:
    """An alarm. The owner of the series changes all of it but the acknowledgement and the closing by hand, which are
    for people."""

    id: str
    rule: str
    generation: int
    kind: str
    severity: Severity
    series_id: int
    key: SeriesKey
    unit: str
    state: State
    start: int
    update: int
    message: str = ""
    value: float | None = None
    last_value: float | None = None
    extreme: float | None = None
    peak: float | None = None
    """How far `extreme` goes, where that is not told by itself (a rate)."""
    raised: int | None = None
    cleared: int | None = None
    acknowledged: datetime | None = None
    acknowledged_by: str = ""
    note: str = ""
    cause: Cause = Cause.NONE
    closed_by: str = ""
    close_reason: str = ""
    historical: bool = False
    """What raised it was old already when it was accepted: nobody is told."""
    lasting: bool = False
    """Closed by hand while its condition was met, and that has not ended since: it raises no other one."""
    revocation: Revocation | None = None

    @property
    def open(self) -> bool:
        """Whether it is raised, or may be."""
        return self.state is not State.CLEARED


class AlarmEvent(NamedTuple):
    """Something for everybody: the alarm as it was when it was raised or cleared. `audience`: whom to notify; None for
    a rule that is gone. `again`: it was raised by old values, and lasts."""

    alarm: Alarm
    audience: Audience | None
    value: float | None
    again: bool = False


class Memory(NamedTuple):
    """What is remembered of a series under a rule beside alarms; empty: nothing any more."""

    generation: int
    series_id: int
    values: Sequence[float]


class Disproved(NamedTuple):
    """Values of a counter in [first, last] that were accepted and are none by what it has counted since: an alarm that
    one of them has raised was none."""

    series_id: int
    first: int
    last: int


DISPROVED: Final = "what the meter sent afterwards goes on from before this value"
"""The reason of such a revocation, which nobody has asked for."""


OF_NO_VALUE: Final = ("NO_DATA", "COMPLETENESS")
"""Kinds that are about readings being there, whatever their values."""


class Revoked(NamedTuple):
    """An alarm that is none by what was made of the reading of this event time; None: it is one after all."""

    alarm: str
    series_id: int
    reading: int | None


@dataclass(slots=True)
class AlarmChanges:
    """What one step of the evaluator wants stored, together with what it saw."""

    new: list[Alarm] = field(default_factory=list[Alarm])
    changed: list[Alarm] = field(default_factory=list[Alarm])
    forgotten: list[str] = field(default_factory=list[str])
    memories: list[Memory] = field(default_factory=list[Memory])
    events: list[AlarmEvent] = field(default_factory=list[AlarmEvent])
    revoked: list[Revoked] = field(default_factory=list[Revoked])
    disproved: list[Disproved] = field(default_factory=list[Disproved])

    def __bool__(self) -> bool:
        return bool(
            self.new or self.changed or self.forgotten or self.memories or self.events or self.revoked or self.disproved
        )


def alarm_id(generation: int, series_id: int, start: int, occasion: int = 0) -> str:
    """The id of the alarm of a rule and a series that starts then: the same however often it is worked out, and in the
    order of time (a UUID of version 7 whose random part is a hash). `occasion` tells apart what starts at once."""
    digest = hashlib.sha256(f"{generation}/{series_id}/{start}/{occasion}".encode()).digest()
    value = (max(start, 0) // 1000 & (1 << 48) - 1) << 80 | int.from_bytes(digest[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
