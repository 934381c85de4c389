"""The alarms of a partition without NATS and PostgreSQL, and what they should be, worked out the slow way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.aggregation.adapters.memory.alarm_stores import InMemoryAlarmRuleStore
from services.aggregation.adapters.memory.amendments import StoredAmendment
from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.alarms.partition_alarms import PartitionAlarms
from services.aggregation.application.alarms.rule_cache import RuleCache
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import Emptied, Recomputation, Totals
from services.aggregation.application.partition.processor import Processor
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.alarms.alarm import Alarm
from services.aggregation.domain.alarms.book import EvaluatorOptions
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Condition,
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.late.amendments import AskedAmendment
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, DeviceMove
from services.aggregation.domain.times import HOUR, SECOND
from services.aggregation.domain.windows.engine import Engine
from tests.support.aggregation.partition import Arrival, at_once, message

MOST_RULES = 1000


def rule(condition: Condition, id_: str = "rule", **more: object) -> AlarmRule:
    """For everything of the sensor type `temperature`."""
    return AlarmRule(id=id_, sensor_type="temperature", condition=condition, **more)  # pyright: ignore


class AlarmBench:
    """Runs a processor with alarms over an in-memory store."""

    def __init__(
        self,
        descriptors: Sequence[Descriptor],
        *alarm_rules: AlarmRule,
        rules: Rules | None = None,
        options: EvaluatorOptions | None = None,
    ) -> None:
        self.options = options or EvaluatorOptions()
        self.rules = rules or Rules(lateness=HOUR)
        self.store = InMemoryPartitionStore(self.rules)
        self.rule_store = InMemoryAlarmRuleStore()
        self.book = RuleCache(self.rule_store)
        self.now = 0.0
        self._descriptors = descriptors
        self._sequence = 0
        for one in alarm_rules:
            asyncio.run(self.rule_store.create(one, MOST_RULES))
        self.processor = self._open()

    def _open(self) -> Processor:
        def alarms(engine: Engine, descriptors: Sequence[Descriptor]) -> PartitionAlarms:
            return PartitionAlarms(self.store.alarms, self.book, self.options, engine, descriptors)

        processor = Processor(
            self.store,
            Lease(0, "test", 1),
            self.rules,
            lambda raw: self._descriptors[int(raw)],
            lambda: self.now,
            alarms,
        )
        asyncio.run(processor.load())
        return processor

    def reopen(self) -> None:
        """Another owner takes over: everything in memory is forgotten."""
        self.processor = self._open()

    def feed(
        self,
        arrivals: Sequence[Arrival],
        emptied: Sequence[tuple[int, int]] = (),
        *,
        accepted: int = 0,
        moved: Sequence[DeviceMove] = (),
    ) -> None:
        """One batch; `emptied`: (number of the series, event time) from the priority lane; `moved`: devices that stand
        elsewhere now."""
        self._sequence += 1
        entries = [
            Emptied(self._sequence * 1000 + place, self._descriptors[number], at, forced=False)
            for place, (number, at) in enumerate(emptied)
        ]
        messages: list[Message] = []
        if arrivals or moved:
            messages = [replace(message(self._sequence, arrivals), accepted=accepted / SECOND, moved=moved)]
        asyncio.run(self.processor.process(messages, entries))

    def create(self, one: AlarmRule) -> AlarmRule:
        """A rule that comes while the owner works."""
        made = asyncio.run(self.rule_store.create(one, MOST_RULES))
        self.learn()
        return made

    def change(self, id_: str, **more: Any) -> None:
        """A rule that changes while the owner works."""
        asyncio.run(self.rule_store.update(id_, lambda current: replace(current, **more)))
        self.learn()

    def learn(self) -> None:
        """What happens when rules have changed."""
        asyncio.run(self.book.reload())
        asyncio.run(self.processor.keep_up_alarms())

    def amend(self, series_id: int, time: int, value: float | None) -> None:
        """Somebody voids a reading, or replaces its value."""
        id_ = len(self.store.amendments) + 1
        self.store.amendments[id_] = StoredAmendment(series_id, time, value, "somebody", "a test")
        asked = AskedAmendment(id_, time, value)
        job = Recomputation(1_000_000 + id_, series_id, None, 2**62, False, Totals(), True, [asked])
        self.store.jobs[job.id] = (0, job)

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())

    def decide(self, series_id: int, time: int, decision: Decision) -> None:
        """Somebody decides about a reading of a counter."""
        self.store.decided.setdefault(series_id, {})[time] = decision
        id_ = 2_000_000 + len(self.store.done)
        self.store.jobs[id_] = (0, Recomputation(id_, series_id, None, time + 1, False, Totals(), True))

        async def work() -> None:
            while await self.processor.recompute(at_once):
                pass

        asyncio.run(work())

    def close(self, id_: str, by: str = "ann", reason: str = "known") -> Alarm:
        """Somebody closes it by hand."""
        return asyncio.run(self.store.alarms.close(id_, by, reason, None))

    def clock(self, until: int) -> None:
        """The wall clock has come to `until`, and nothing waits in the lane."""
        asyncio.run(self.processor.keep_up_alarms(until))

    def fall_quiet(self) -> None:
        """Long after the last reading."""
        self.now += 1e6
        asyncio.run(self.processor.close_quiet())

    def recompute(self, series_id: int, *, include_too_late: bool = False) -> None:
        """Asks for it, and does it."""
        job = Recomputation(len(self.store.done) + 1, series_id, None, 2**62, include_too_late, Totals())
        self.store.jobs[job.id] = (0, job)

        async def caught_up() -> bool:
            return True

        async def work() -> None:
            while await self.processor.recompute(caught_up):
                pass

        asyncio.run(work())

    @property
    def alarms(self) -> list[Alarm]:
        """All that are stored, by start."""
        return sorted(self.store.alarms.alarms.values(), key=lambda alarm: (alarm.start, alarm.raised or 0))


@dataclass(frozen=True)
class Episode:
    """An alarm as it should be."""

    start: int
    raised: int | None
    cleared: int | None
    value: float
    last_value: float
    extreme: float


def episodes(alarms: Sequence[Alarm]) -> list[Episode]:
    """What is stored, to compare."""
    return [
        Episode(one.start, one.raised, one.cleared, one.value, one.last_value, one.extreme)  # pyright: ignore
        for one in alarms
    ]


def judged(arrivals: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """The readings of one series that are judged."""
    kept: list[tuple[int, float]] = []
    for at, value in arrivals:
        if not kept or at > kept[-1][0]:
            kept.append((at, value))
    return kept


def expected(condition: Condition, arrivals: Sequence[tuple[int, float]]) -> list[Episode]:
    """The alarms of one series."""
    readings = judged(arrivals)
    met = [_met(condition, readings, place) for place in range(len(readings))]
    over = [_over(condition, readings, place) for place in range(len(readings))]
    found: list[Episode] = []
    place = 0
    while place < len(readings):
        begin = met[place]
        if begin is None:
            place += 1
            continue
        duration = condition.min_duration if isinstance(condition, Threshold) else 0
        raised = next(
            (
                at
                for at in range(place, len(readings))
                if all(met[earlier] is not None for earlier in range(place, at + 1))
                and readings[at][0] >= begin + duration
            ),
            None,
        )
        if raised is None:
            broken = next((at for at in range(place, len(readings)) if met[at] is None), None)
            if broken is None:
                found.append(_episode(condition, readings, begin, place, None, len(readings), None))
                break
            place = broken + 1
            continue
        if isinstance(condition, ContainerEmptied):
            at, value = readings[place]
            found.append(Episode(at, at, at, value, value, value))
            place += 1
            continue
        cleared = next((at for at in range(raised + 1, len(readings)) if over[at]), None)
        until = len(readings) if cleared is None else cleared
        found.append(_episode(condition, readings, begin, place, raised, until, cleared))
        if cleared is None:
            break
        # What clears one may begin another: a flat line that moved; never a limit.
        place = cleared
    return found


def _episode(
    condition: Condition,
    readings: Sequence[tuple[int, float]],
    begin: int,
    first: int,
    raised: int | None,
    until: int,
    cleared: int | None,
) -> Episode:
    values = [value for _, value in readings[first:until]]
    extreme = max(values)
    if isinstance(condition, Threshold) and not condition.above:
        extreme = min(values)
    return Episode(
        begin,
        None if raised is None else readings[raised][0],
        None if cleared is None else readings[cleared][0],
        readings[first if raised is None else raised][1],
        values[-1],
        extreme,
    )


def _met(condition: Condition, readings: Sequence[tuple[int, float]], place: int) -> int | None:
    """Since when the condition is met at this reading; None: it is not."""
    at, value = readings[place]
    if isinstance(condition, Threshold):
        beyond = value > condition.limit if condition.above else value < condition.limit
        return at if beyond else None
    if isinstance(condition, ContainerFull):
        return at if value >= condition.level else None
    if isinstance(condition, ContainerEmptied):
        return at if value <= 0 and (not place or readings[place - 1][1] > 0) else None
    if isinstance(condition, RateOfChange):
        return at if _steep(condition, readings, place) else None
    if isinstance(condition, FlatLine):
        since = readings[_run(condition, readings, place)][0]
        return since if at - since >= condition.duration and at > since else None
    raise AssertionError(condition)


def _over(condition: Condition, readings: Sequence[tuple[int, float]], place: int) -> bool:
    _, value = readings[place]
    if isinstance(condition, Threshold):
        back = condition.limit - condition.hysteresis if condition.above else condition.limit + condition.hysteresis
        return value <= back if condition.above else value >= back
    if isinstance(condition, FlatLine):
        return _run(condition, readings, place) == place
    return _met(condition, readings, place) is None


def _steep(condition: RateOfChange, readings: Sequence[tuple[int, float]], place: int) -> bool:
    at, value = readings[place]
    before = [one for one in readings[:place] if one[0] <= at - condition.over]
    if not before:
        return False
    rate = (value - before[-1][1]) / ((at - before[-1][0]) / HOUR)
    rising, falling = rate > condition.limit_per_hour, -rate > condition.limit_per_hour
    return {
        Direction.RISING: rising,
        Direction.FALLING: falling,
        Direction.EITHER: rising or falling,
    }[condition.direction]


def _run(condition: FlatLine, readings: Sequence[tuple[int, float]], place: int) -> int:
    """Where the run begins that this reading is in."""
    first = 0
    for at in range(1, place + 1):
        if abs(readings[at][1] - readings[first][1]) > condition.tolerance:
            first = at
    return first
