"""Asks the owner of a series to void a reading or to replace its value, and waits until its windows have followed."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from services.aggregation.application.partition.owner import Visibility, until_done
from services.aggregation.domain.errors import FieldInvalid, ReadingNotFound
from services.aggregation.domain.late.amendments import Amendment, AmendmentOutcome
from services.aggregation.domain.series import SeriesKey
from services.chassis.value_limits import ValueLimits

MOST_VOIDED: Final = 10_000
"""Readings that are voided at once, in one transaction."""


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


@dataclass(frozen=True, slots=True)
class VoidRange:
    """The command: all readings of [start, end), in microseconds, are to count nowhere."""

    series: SeriesKey
    start: int
    end: int
    author: str
    reason: str


class RangeVoided(NamedTuple):
    """How many readings the range holds, how many of them had counted, and how many windows have changed."""

    readings: int = 0
    changed: int = 0
    windows: int = 0


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

    async def ask_range(self, command: VoidRange, limit: int) -> int | None:
        """An entry of its own kind, as `ask` makes one. None: the range holds nothing. Raises TooManyReadings when it
        holds more than `limit`."""
        ...

    async def range_done(self, entry: int) -> RangeVoided | None:
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
        limits = await self._limits(command.key)
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

    async def void_range(self, command: VoidRange) -> RangeVoided:
        """Returns when all is done; the work goes on when the caller does not wait. Raises FieldInvalid,
        TooManyReadings and ReadingNotFound."""
        if command.start >= command.end:
            raise FieldInvalid("to", "must be after from")
        # Which readings there are is known when all that had been accepted is stored.
        await self._visibility.wait(command.series)
        if await self._queue.limits(command.series) is None:
            raise ReadingNotFound(command.series, command.start, "from")
        entry = await self._queue.ask_range(command, MOST_VOIDED)
        if entry is None:
            return RangeVoided()
        return await until_done(lambda: self._queue.range_done(entry))

    async def _limits(self, series: SeriesKey) -> ValueLimits | None:
        limits = await self._queue.limits(series)
        if limits is None:
            # Its first reading may have been accepted just now.
            await self._visibility.wait(series)
            limits = await self._queue.limits(series)
        return limits
