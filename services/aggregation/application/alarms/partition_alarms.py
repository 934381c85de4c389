"""The alarms of one partition, in step with the rules."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.aggregation.application.alarms.ports import OpenAlarmStore
from services.aggregation.application.alarms.rule_cache import RuleCache
from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges
from services.aggregation.domain.alarms.book import EvaluatorOptions
from services.aggregation.domain.alarms.evaluator import Evaluator
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.open_windows import ClosedWindows


class Ended(NamedTuple):
    """Alarms of a series that are over; the readings in [since, until) tell whether they were any."""

    alarms: Sequence[Alarm]
    since: int
    until: int


class AlarmEvaluation(Protocol):
    """What whoever works on a partition tells of it. `take` is what has to be stored with it."""

    async def load(self, partition: int, now: int) -> None:
        """Takes up what is stored; the engine must hold all readings that are. `now`: the wall clock."""
        ...

    def keep_up(self, now: int) -> bool:
        """Evaluates by the newest rules from here on; whether they are others than before."""
        ...

    def readings(self, emptied: Readings, fresh: Readings, accepted: int) -> None:
        """Fresh readings (in the order of arrival) that the engine is about to apply, and containers emptied; all of
        them had been accepted by `accepted` (the wall clock)."""
        ...

    def moved(self, left: Sequence[tuple[int, int]], back: Sequence[tuple[int, int]]) -> None:
        """Devices have left the places of these series (local index, when); others are back."""
        ...

    def windows(self, closed: Sequence[ClosedWindows], revised: Sequence[RevisedWindow]) -> None:
        """Windows that have closed, and older ones that have changed since they did."""
        ...

    def corrections(self, corrections: Sequence[Correction]) -> None:
        """Readings of counters that are not taken at their word, any more in some cases."""
        ...

    def tried_since(self, series: int, times: Sequence[int]) -> int | None:
        """From when on `amended` needs the readings of a series, of which those at `times` were amended; None: it need
        not be told."""
        ...

    def amended(self, series: int, counting: Readings, times: Sequence[int], since: int, now: int) -> None:
        """What counts of a series from `since` on, in order, after readings at `times` were amended or decided about.
        `now`: the wall clock."""
        ...

    async def ended(self, series: int, times: Sequence[int]) -> "Ended | None":
        """Alarms that are over and may have been raised by readings of a series at `times`, which were amended or
        decided about; None: there are none."""
        ...

    def revoke(self, series: int, counting: Readings, ended: "Ended", times: Sequence[int]) -> None:
        """Marks those of them that were none by what counts within their reach now; nobody is told."""
        ...

    def resume(self, since: int) -> None:
        """Readings can be taken since then, and could not before (the wall clock)."""
        ...

    def deadline(self) -> int | None:
        """When `elapse` has something to find (the wall clock)."""
        ...

    def elapse(self, until: int) -> None:
        """All that had been accepted by `until` (the wall clock) has been told."""
        ...

    def take(self) -> AlarmChanges:
        """What has to be stored since the last time."""
        ...


class NoAlarms:
    """Where no rules are."""

    async def load(self, partition: int, now: int) -> None:
        """See `AlarmEvaluation`."""

    def keep_up(self, now: int) -> bool:
        """See `AlarmEvaluation`."""
        return False

    def readings(self, emptied: Readings, fresh: Readings, accepted: int) -> None:
        """See `AlarmEvaluation`."""

    def moved(self, left: Sequence[tuple[int, int]], back: Sequence[tuple[int, int]]) -> None:
        """See `AlarmEvaluation`."""

    def windows(self, closed: Sequence[ClosedWindows], revised: Sequence[RevisedWindow]) -> None:
        """See `AlarmEvaluation`."""

    def corrections(self, corrections: Sequence[Correction]) -> None:
        """See `AlarmEvaluation`."""

    def tried_since(self, series: int, times: Sequence[int]) -> int | None:
        """See `AlarmEvaluation`."""
        return None

    def amended(self, series: int, counting: Readings, times: Sequence[int], since: int, now: int) -> None:
        """See `AlarmEvaluation`."""

    async def ended(self, series: int, times: Sequence[int]) -> "Ended | None":
        """See `AlarmEvaluation`."""
        return None

    def revoke(self, series: int, counting: Readings, ended: "Ended", times: Sequence[int]) -> None:
        """See `AlarmEvaluation`."""

    def resume(self, since: int) -> None:
        """See `AlarmEvaluation`."""

    def deadline(self) -> int | None:
        """See `AlarmEvaluation`."""
        return None

    def elapse(self, until: int) -> None:
        """See `AlarmEvaluation`."""

    def take(self) -> AlarmChanges:
        """See `AlarmEvaluation`."""
        return AlarmChanges()


class PartitionAlarms:
    """`AlarmEvaluation` by the rules in the cache."""

    def __init__(
        self,
        store: OpenAlarmStore,
        cache: RuleCache,
        options: EvaluatorOptions,
        engine: Engine,
        descriptors: Sequence[Descriptor],
    ) -> None:
        self._store = store
        self._cache = cache
        self._engine = engine
        self._evaluator = Evaluator(engine, descriptors, options)
        self._version = -1

    async def load(self, partition: int, now: int) -> None:
        """See `AlarmEvaluation`. Raises Unavailable."""
        alarms, memories = await self._store.open_alarms(partition)
        # After the alarms: of no alarm that was raised meanwhile by a newer rule it must seem that its rule is gone.
        await self._cache.reload()
        self._evaluator.restore(alarms, memories)
        self.keep_up(now)

    def keep_up(self, now: int) -> bool:
        """See `AlarmEvaluation`."""
        if self._version == self._cache.version:
            return False
        self._version = self._cache.version
        self._evaluator.plan(self._cache.rules, now)
        return True

    def readings(self, emptied: Readings, fresh: Readings, accepted: int) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.emptied(emptied.series.tolist(), emptied.time.tolist())
        self._evaluator.readings(fresh, accepted)

    def moved(self, left: Sequence[tuple[int, int]], back: Sequence[tuple[int, int]]) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.moved(left, back)

    def windows(self, closed: Sequence[ClosedWindows], revised: Sequence[RevisedWindow]) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.windows(closed, revised)

    def corrections(self, corrections: Sequence[Correction]) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.disproved([found for found in corrections if found.kind == "REVOKED"])

    def tried_since(self, series: int, times: Sequence[int]) -> int | None:
        """See `AlarmEvaluation`."""
        return self._evaluator.tried_since(series, times)

    def amended(self, series: int, counting: Readings, times: Sequence[int], since: int, now: int) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.amended(series, counting, times, since, now)

    async def ended(self, series: int, times: Sequence[int]) -> "Ended | None":
        """See `AlarmEvaluation`. Raises Unavailable."""
        within = self._evaluator.ended_within(series, times)
        if within is None:
            return None
        alarms = await self._store.cleared_alarms(self._engine.states.ids[series], *within)
        reach = self._evaluator.readings_around(series, alarms, times)
        return None if reach is None else Ended(alarms, *reach)

    def revoke(self, series: int, counting: Readings, ended: "Ended", times: Sequence[int]) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.revoke_ended(series, counting, ended.alarms, times)

    def resume(self, since: int) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.clock.resume(since)

    def deadline(self) -> int | None:
        """See `AlarmEvaluation`."""
        return self._evaluator.clock.deadline()

    def elapse(self, until: int) -> None:
        """See `AlarmEvaluation`."""
        self._evaluator.clock.elapse(until)

    def take(self) -> AlarmChanges:
        """See `AlarmEvaluation`."""
        return self._evaluator.take()
