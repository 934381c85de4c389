"""What a rule would have raised, from what is stored: by the evaluator that judges what comes in."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from services.aggregation.application.queries.history import History, Snapshot
from services.aggregation.domain.alarms.alarm import Alarm, State
from services.aggregation.domain.alarms.evaluator import Evaluator
from services.aggregation.domain.alarms.rule import AlarmRule, Completeness, NoData, Threshold, stands
from services.aggregation.domain.alarms.scope import scope_of
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.readings import Readings, no_readings
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.series import Descriptor, Kind, SeriesInfo, SeriesKey
from services.aggregation.domain.times import DAY, NEVER
from services.aggregation.domain.windows.engine import Engine

DEFAULT_SPAN: Final = 7 * DAY
MAX_SPAN: Final = 31 * DAY
MAX_SERIES: Final = 100
MAX_READINGS: Final = 500_000
_MAX_STEPS: Final = 20_000
"""Looks at the clock of one series."""
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class TrialResult:
    """`raised`: how often, in [start, end) and the `series` that were tried; `alarms`: the latest of them. `complete`:
    nothing was left out to keep it bounded."""

    raised: int
    alarms: Sequence[Alarm]
    series: int
    start: int
    end: int
    complete: bool


class RuleTrial:
    """Tries rules on history. `clock`: the wall clock in microseconds."""

    def __init__(self, history: History, rules: Rules, clock: Callable[[], int]) -> None:
        self._history = history
        self._rules = rules
        self._clock = clock
        self._at_once = asyncio.Semaphore(1)

    async def run(self, rule: AlarmRule, since: int | None) -> TrialResult:
        """From `since` (7 days ago when None) on. Raises FieldInvalid."""
        end = self._clock()
        start = end - DEFAULT_SPAN if since is None else since
        if not end - MAX_SPAN <= start < end:
            raise FieldInvalid("since", "must lie in the past, by at most 31d", "SPAN")
        rule = replace(rule, disabled=False, generation=1)
        raised: list[Alarm] = []
        complete, room = True, MAX_READINGS
        async with self._at_once, self._history.snapshot() as snapshot:
            infos = await snapshot.in_scope(scope_of(rule), MAX_SERIES + 1)
            complete = len(infos) <= MAX_SERIES
            for tried, info in enumerate(infos[:MAX_SERIES]):
                # That something was heard does not depend on what people make of it.
                counting = not isinstance(rule.condition, NoData)
                readings = await _readings(snapshot, info, start, end, room, counting=counting)
                if readings is None:
                    return _result(raised, tried, start, end, complete=False)
                room -= len(readings.time)
                found, whole = await asyncio.to_thread(self._try, rule, info, readings, end)
                raised += found
                complete = complete and whole
        return _result(raised, len(infos[:MAX_SERIES]), start, end, complete=complete)

    def _try(self, rule: AlarmRule, info: SeriesInfo, readings: Readings, end: int) -> tuple[list[Alarm], bool]:
        """One series, as if each reading had been accepted at its time; whether all of it was tried."""
        kind = Kind(info.kind)
        counts = kind == Kind.COUNTER and not isinstance(rule.condition, Completeness | NoData)
        if not counts and kind == Kind.COUNTER:
            kind = Kind.GAUGE  # what was received does not depend on what is accepted
        key = SeriesKey(info.building, info.room, info.sensor_type, info.device)
        engine = Engine(self._rules)
        engine.states.add(info.id, engine.states.blank(int(kind), info.interval, info.counting), 0.0)
        if info.decisions:
            engine.decisions[0] = info.decisions
        evaluator = Evaluator(engine, [Descriptor(key, kind, info.unit, info.interval, info.counting)])
        evaluator.plan([rule], NEVER)
        if counts or not _by_clock(rule, kind):
            # All at once: what is accepted of a counter follows from all that came.
            evaluator.readings(readings, NEVER)
            if isinstance(rule.condition, Completeness):
                evaluator.windows(engine.apply(readings, 0.0).closed)
            return _raised(evaluator), True
        at = 0
        for _ in range(_MAX_STEPS):
            due = evaluator.clock.deadline()
            # What the clock finds comes before the readings after it.
            last = at + 1 if due is None else int(np.searchsorted(readings.time, min(due, end)))
            if at < last <= len(readings.time):
                evaluator.readings(readings.take(np.arange(at, last)), NEVER)
                at = last
            elif due is None or due >= end:
                return _raised(evaluator), True
            else:
                evaluator.clock.elapse(due)
        return _raised(evaluator), False


def _by_clock(rule: AlarmRule, kind: Kind) -> bool:
    """Whether time alone may raise an alarm."""
    match rule.condition:
        case NoData():
            return True
        case Threshold(min_duration=0):
            return False
        case _:
            return stands(rule.condition, kind)


def _raised(evaluator: Evaluator) -> list[Alarm]:
    return [event.alarm for event in evaluator.take().events if event.alarm.state is State.RAISED]


async def _readings(
    snapshot: Snapshot, info: SeriesInfo, start: int, end: int, room: int, *, counting: bool
) -> Readings | None:
    """By days, so that no more than `room` are ever held, and a day's; None: there are more."""
    found = no_readings()
    for day in range(start, end, DAY):
        found += await snapshot.readings([info], day, min(day + DAY, end), counting=counting)
        if len(found.time) > room:
            return None
    return found


def _result(raised: list[Alarm], series: int, start: int, end: int, *, complete: bool) -> TrialResult:
    latest = sorted(raised, key=lambda alarm: (alarm.raised or 0, alarm.id), reverse=True)
    return TrialResult(len(raised), latest[:_SHOWN], series, start, end, complete)
