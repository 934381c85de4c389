"""Asks the owners of its series to fold the windows of a room anew, and waits until they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.aggregation.application.partition.owner import until_done
from services.aggregation.application.partition.partition_store import Totals
from services.aggregation.domain.errors import FieldInvalid


@dataclass(frozen=True, slots=True)
class RecomputeRoom:
    """The command. `sensor_type` and `device` empty: all; `start`, `end` in microseconds, None: open."""

    building: str
    room: str
    sensor_type: str = ""
    device: str = ""
    start: int | None = None
    end: int | None = None
    include_too_late: bool = False


class Outcome(NamedTuple):
    """Of all series together."""

    series: int
    totals: Totals


class RecomputationQueue(Protocol):
    """Where what is asked for is kept."""

    async def ask(self, command: RecomputeRoom) -> Sequence[int]:
        """One entry for each series; the owners of their partitions are woken."""
        ...

    async def done(self, entries: Sequence[int]) -> Totals | None:
        """What they came to; None while some is not done."""
        ...


class RoomRecomputation:
    """The use case."""

    def __init__(self, recomputations: RecomputationQueue) -> None:
        self._recomputations = recomputations

    async def recompute(self, command: RecomputeRoom) -> Outcome:
        """Returns when all is done; the work goes on when the caller does not wait. Raises FieldInvalid."""
        if command.start is not None and command.end is not None and command.start >= command.end:
            raise FieldInvalid("to", "must be after from")
        entries = await self._recomputations.ask(command)
        return Outcome(len(entries), await until_done(lambda: self._recomputations.done(entries)))
