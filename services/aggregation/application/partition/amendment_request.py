"""Asks the owner of a series to void a reading or to replace its value, and waits until its windows have followed."""

import asyncio
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.aggregation.domain.errors import FieldInvalid, ReadingNotFound
from services.aggregation.domain.late.amendments import Amendment, AmendmentOutcome
from services.aggregation.domain.series import SeriesKey

_SOON, _SELDOM = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class AmendReading:
    """The command. `time` in microseconds; `value` None: the reading is to count nowhere; `unit` of the value, empty:
    that of the series."""

    building: str
    room: str
    sensor_type: str
    device: str
    time: int
    value: float | None
    author: str
    reason: str
    unit: str = ""

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return SeriesKey(self.building, self.room, self.sensor_type, self.device)


class AmendmentDone(NamedTuple):
    """How the reading stands. `windows`: how many have changed."""

    outcome: AmendmentOutcome
    windows: int
    value: float
    amendment: Amendment | None


class AmendmentQueue(Protocol):
    """Where what is asked for is kept."""

    async def unit(self, command: AmendReading) -> str | None:
        """The unit of the series; None: there is no such series."""
        ...

    async def ask(self, command: AmendReading) -> int | None:
        """An entry; the owner of the partition is woken. None: there is no such series."""
        ...

    async def done(self, entry: int) -> AmendmentDone | None:
        """What it came to; None while it is not done."""
        ...


class ReadingAmendments:
    """The use case."""

    def __init__(self, queue: AmendmentQueue) -> None:
        self._queue = queue

    async def amend(self, command: AmendReading) -> AmendmentDone:
        """Returns when all is done; the work goes on when the caller does not wait. Raises FieldInvalid and
        ReadingNotFound."""
        unit = await self._queue.unit(command)
        if unit is not None and command.unit not in ("", unit):
            raise FieldInvalid("unit", f"must be {unit}, the unit of the series", "UNIT")
        entry = await self._queue.ask(command)
        if entry is None:
            raise ReadingNotFound(command.key, command.time)
        pause = _SOON
        while (done := await self._queue.done(entry)) is None:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _SELDOM)
        if done.outcome == AmendmentOutcome.NOT_FOUND:
            raise ReadingNotFound(command.key, command.time)
        return done
