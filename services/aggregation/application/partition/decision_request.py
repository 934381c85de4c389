"""Asks the owner of a counter to have a person's word stand in place of a correction, and waits until its windows have
followed."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.aggregation.application.partition.owner import until_done
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.errors import CorrectionNotFound, FieldInvalid
from services.chassis.value_limits import ValueLimits


@dataclass(frozen=True, slots=True)
class DecideCorrection:
    """The command. `id` as it is listed."""

    building: str
    room: str
    id: str
    decision: Decision
    author: str
    reason: str

    @property
    def place(self) -> tuple[int, int]:
        """Series id and event time. Raises CorrectionNotFound."""
        series_id, _, time = self.id.partition("-")
        if not (series_id.isdecimal() and time.isdecimal() and max(len(series_id), len(time)) < 19):
            raise CorrectionNotFound(self.id)
        return int(series_id), int(time)


class AskedDecision(NamedTuple):
    """`entry` None: the same had been decided already."""

    entry: int | None


class DecisionQueue(Protocol):
    """Where what is asked for is kept."""

    async def limits(self, command: DecideCorrection) -> ValueLimits | None:
        """What the values of the counter may be. None: there is no such correction in the room."""
        ...

    async def ask(self, command: DecideCorrection) -> AskedDecision | None:
        """Keeps the decision and wakes the owner of the partition. None: there is no such correction in the room."""
        ...

    async def done(self, entry: int) -> int | None:
        """How many windows have changed; None while it is not done."""
        ...


class CorrectionDecisions:
    """The use case."""

    def __init__(self, queue: DecisionQueue) -> None:
        self._queue = queue

    async def decide(self, command: DecideCorrection, *, has_value: bool) -> tuple[bool, int]:
        """Whether anything is decided otherwise than before, and how many windows have changed. Returns when all is
        done; the work goes on when the caller does not wait. Raises FieldInvalid, CorrectionNotFound, and
        ValueOutOfRange for a value that no reading could have."""
        if has_value != (command.decision.kind == "VALUE"):
            raise FieldInvalid("value", "is for the decision VALUE, and required there", "VALUE")
        limits = await self._queue.limits(command)
        if limits is None:
            raise CorrectionNotFound(command.id)
        if has_value:
            limits.canonical(command.decision.value)
        asked = await self._queue.ask(command)
        if asked is None:
            raise CorrectionNotFound(command.id)
        if asked.entry is None:
            return False, 0
        entry = asked.entry
        return True, await until_done(lambda: self._queue.done(entry))
