"""The alarms of one partition, in step with the rules."""

from collections.abc import Sequence
from typing import Protocol

from services.aggregation.application.alarms.ports import OpenAlarmStore
from services.aggregation.application.alarms.rulebook import RuleBook
from services.aggregation.domain.alarms.alarm import AlarmChanges
from services.aggregation.domain.alarms.judge import Judge
from services.aggregation.domain.climb import Revised
from services.aggregation.domain.engine import Engine, Readings
from services.aggregation.domain.levels import Closed
from services.aggregation.domain.series import Descriptor


class Alarms(Protocol):
    """What whoever works on a partition tells of it. `take` is what has to be stored with it."""

    async def load(self, partition: int, now: int) -> None:
        """Takes up what is stored; the engine must hold all readings that are. `now`: the wall clock."""
        ...

    def keep_up(self, now: int) -> bool:
        """Judges by the newest rules from here on; whether they are others than before."""
        ...

    def readings(self, emptied: Readings, fresh: Readings) -> None:
        """Fresh readings (in the order of arrival) that the engine is about to apply, and containers emptied."""
        ...

    def windows(self, closed: Sequence[Closed], revised: Sequence[Revised]) -> None:
        """Windows that have closed, and older ones that have changed since they did."""
        ...

    def deadline(self) -> int | None:
        """When `silence` has something to find (the wall clock)."""
        ...

    def silence(self, until: int) -> None:
        """All that had been accepted by `until` (the wall clock) has been told."""
        ...

    def take(self) -> AlarmChanges:
        """What has to be stored since the last time."""
        ...


class NoAlarms:
    """Where no rules are."""

    async def load(self, partition: int, now: int) -> None:
        """See `Alarms`."""

    def keep_up(self, now: int) -> bool:
        """See `Alarms`."""
        return False

    def readings(self, emptied: Readings, fresh: Readings) -> None:
        """See `Alarms`."""

    def windows(self, closed: Sequence[Closed], revised: Sequence[Revised]) -> None:
        """See `Alarms`."""

    def deadline(self) -> int | None:
        """See `Alarms`."""
        return None

    def silence(self, until: int) -> None:
        """See `Alarms`."""

    def take(self) -> AlarmChanges:
        """See `Alarms`."""
        return AlarmChanges()


class PartitionAlarms:
    """`Alarms` by the rules of a book."""

    def __init__(
        self, store: OpenAlarmStore, book: RuleBook, engine: Engine, descriptors: Sequence[Descriptor]
    ) -> None:
        self._store = store
        self._book = book
        self._judge = Judge(engine, descriptors)
        self._version = -1

    async def load(self, partition: int, now: int) -> None:
        """See `Alarms`. Raises Unavailable."""
        alarms, memories = await self._store.open_alarms(partition)
        # After the alarms: of no alarm that was raised meanwhile by a newer rule it must seem that its rule is gone.
        await self._book.reload()
        self._judge.restore(alarms, memories)
        self.keep_up(now)

    def keep_up(self, now: int) -> bool:
        """See `Alarms`."""
        if self._version == self._book.version:
            return False
        self._version = self._book.version
        self._judge.plan(self._book.rules, now)
        return True

    def readings(self, emptied: Readings, fresh: Readings) -> None:
        """See `Alarms`."""
        self._judge.emptied(emptied.series.tolist(), emptied.time.tolist())
        self._judge.readings(fresh)

    def windows(self, closed: Sequence[Closed], revised: Sequence[Revised]) -> None:
        """See `Alarms`."""
        self._judge.windows(closed, revised)

    def deadline(self) -> int | None:
        """See `Alarms`."""
        return self._judge.deadline()

    def silence(self, until: int) -> None:
        """See `Alarms`."""
        self._judge.silence(until)

    def take(self) -> AlarmChanges:
        """See `Alarms`."""
        return self._judge.take()
