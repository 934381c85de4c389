"""Asks the owner of a series to void a reading or to replace its value, and waits until its windows have followed."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from services.aggregation.application.partition.owner import Visibility, until_done
from services.aggregation.domain.errors import ReadingNotFound
from services.aggregation.domain.late.amendments import Amendment, AmendmentOutcome
from services.aggregation.domain.series import SeriesKey
from services.chassis.value_limits import ValueLimits


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

    async def limits(self, series: SeriesKey) -> ValueLimits | None:
        """What its values may be; None: there is no such series."""
        ...

    async def ask(self, command: AmendReading) -> int | None:
        """An entry; the owner of the partition is woken. A value takes back what had been decided about the reading, if
        that would stand in its place. None: there is no such series."""
        ...

    async def done(self, entry: int) -> AmendmentDone | None:
        """What it came to; None while it is not done."""
        ...


class ReadingAmendments:
    """The use case."""

    def __init__(self, queue: AmendmentQueue, visibility: Visibility) -> None:
        self._queue = queue
        self._visibility = visibility

    async def amend(self, command: AmendReading) -> AmendmentDone:
        """Returns when all is done; the work goes on when the caller does not wait. Raises ReadingNotFound, and what a
        reading with this value would be refused with: UnitUnknown, ValueOutOfRange."""
        limits = await self._queue.limits(command.key)
        if limits is None:
            # Its first reading may have been accepted just now.
            await self._visibility.wait(command.key)
            limits = await self._queue.limits(command.key)
        if limits is None:
            raise ReadingNotFound(command.key, command.time)
        if command.value is not None:
            command = replace(command, value=limits.canonical(command.value, command.unit), unit="")
        entry = await self._queue.ask(command)
        if entry is None:
            raise ReadingNotFound(command.key, command.time)
        done = await until_done(lambda: self._queue.done(entry))
        if done.outcome == AmendmentOutcome.NOT_FOUND:
            raise ReadingNotFound(command.key, command.time)
        return done
