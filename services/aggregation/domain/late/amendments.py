"""Stored readings that people void or replace: what becomes of each, and of what has not settled yet.

The reading stays stored as a raw reading. What counts in windows is another thing from then on, for everything that
reads raw readings: late readings, recomputations and rebuilds know nothing of amendments.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine


class AmendmentKind(IntEnum):
    """What is made of a reading; the numbers are those of the contract."""

    VOIDED = 1
    REPLACED = 2


class Amendment(NamedTuple):
    """What was made of a stored reading last, by whom and why. `original`: the value that came; `created`: when it was
    asked for, in microseconds."""

    kind: AmendmentKind
    original: float
    author: str
    reason: str
    created: int


class AmendmentOutcome(IntEnum):
    """What has become of an amendment that was asked for."""

    APPLIED = 1
    UNCHANGED = 2
    """The reading was like this already."""
    NOT_FOUND = 3
    """The series holds no reading of this event time."""


class AskedAmendment(NamedTuple):
    """`value` None: the reading is to count nowhere. `overrules`: it takes a decision about the reading back."""

    id: int
    time: int
    value: float | None
    overrules: bool = False


class RawReading(NamedTuple):
    """A stored reading. `too_late`: it came after the lateness; `voided`: it was taken out. Neither counts in
    windows."""

    value: float
    too_late: bool = False
    voided: bool = False

    @property
    def counts(self) -> bool:
        """Whether it has a place in windows."""
        return not self.too_late and not self.voided


class SettledAmendment(NamedTuple):
    """What has become of one. `before`: the value that the reading had."""

    id: int
    outcome: AmendmentOutcome
    before: float | None = None


class Amended(NamedTuple):
    """What has become of all that was asked for, and the readings that count otherwise now, by event time."""

    settled: Sequence[SettledAmendment]
    readings: Mapping[int, RawReading]


def amend(asked: Sequence[AskedAmendment], stored: Mapping[int, RawReading]) -> Amended:
    """One after another, as they were asked for."""
    now = dict(stored)
    settled: list[SettledAmendment] = []
    for one in asked:
        reading = now.get(one.time)
        if reading is None:
            settled.append(SettledAmendment(one.id, AmendmentOutcome.NOT_FOUND))
            continue
        if one.value is None:
            amended = reading._replace(voided=True)
        else:
            amended = reading._replace(value=one.value, voided=False)
        changes = amended != reading or one.overrules
        outcome = AmendmentOutcome.APPLIED if changes else AmendmentOutcome.UNCHANGED
        settled.append(SettledAmendment(one.id, outcome, reading.value))
        now[one.time] = amended
    overruled = {one.time for one in asked if one.overrules}
    readings = {time: reading for time, reading in now.items() if reading != stored[time] or time in overruled}
    return Amended(settled, readings)


def take_out_unsettled(engine: Engine, series: int, amended: Mapping[int, RawReading]) -> Readings:
    """Takes readings that have not settled out of the engine; returns those of them that count still, to be taken in
    like fresh ones. Windows that have closed with an idea of what comes after them close again."""
    times = np.array(sorted(amended), np.int64)
    if not len(times):
        return no_readings()
    engine.buffer = engine.buffer.take((engine.buffer.series != series) | ~np.isin(engine.buffer.time, times))
    engine.voided.difference_update((series, time) for time in times.tolist())
    engine.voided.update((series, time) for time, reading in amended.items() if reading.voided)
    opened = engine.states.rows["open"][series]
    told = opened["after_time"]
    opened["dirty"] |= (opened["revision"] > 0) & ((told == NEVER) | (told >= times[0]))
    counting = [(time, reading.value) for time, reading in sorted(amended.items()) if not reading.voided]
    return Readings(
        np.full(len(counting), series, np.int64),
        np.array([time for time, _ in counting], np.int64),
        np.array([value for _, value in counting], np.float64),
    )
