"""Alarms after readings of a series were amended, or decided about: as if they had come like this.

The rules are tried on what counts now, from before the first reading that is another one. Who had been told of what
was none is told that it is over; what stands on other readings goes on; what is due only now is raised.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.alarms.accepted_values import AcceptedValues, accepted_values
from services.aggregation.domain.alarms.alarm import Alarm, Cause
from services.aggregation.domain.alarms.book import AlarmBook
from services.aggregation.domain.alarms.conditions import evaluate, evaluate_counter
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Completeness,
    ContainerEmptied,
    FlatLine,
    NoData,
    RateOfChange,
    Threshold,
)
from services.aggregation.domain.alarms.rule_state import Ledger, RuleState, end
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import DAY, NEVER
from services.aggregation.domain.windows.engine import Engine

LOOKBACK: Final = 7 * DAY
"""How far before the newest reading of a series rules are tried. Alarms that are open for longer go by what has come
since."""


def tried_since(book: AlarmBook, place: int, times: Sequence[int]) -> int | None:
    """From when on the readings are needed, after those at `times` were amended; None: no rule is concerned."""
    book.sync()
    rules = _rules(book, place)
    newest = int(book.last.time[place])
    if newest == NEVER:
        newest = int(book.engine.states.rows["newest"][place])
    if not rules or max(times) < newest - LOOKBACK:
        return None
    found = min(times)
    for rule in rules:
        alarm = book.alarms.get((rule.generation, place))
        found = min(found, (min(times) if alarm is None else min(alarm.start, *times)) - _reach(rule))
    return max(found, newest - LOOKBACK)


def evaluate_amended(book: AlarmBook, place: int, counting: Readings, times: Sequence[int], since: int) -> None:
    """`counting`: the readings of the series that count now, from `since` on, in order; `times`: of those that were
    amended. `book.now` is the wall clock."""
    found = _accepted(book.engine, place, counting)
    values = found.readings
    for rule in _rules(book, place):
        was = book.alarms.get((rule.generation, place))
        state = book.state(place, rule)
        _follow(state, _tried(book, place, rule, found, was if was is not None and was.start < since else None), times)
        book.put_back(state)
    if len(values.time):
        book.last.time[place], book.last.value[place] = values.time[-1], values.value[-1]
    elif not len(counting.time) and min(times) <= book.last.time[place]:
        book.last.time[place] = NEVER


class Reach(NamedTuple):
    """What is needed to tell which alarms of a series were none: those that are over and were raised in [since, until),
    or the other readings of that time that bear on them."""

    since: int
    until: int


def ended_within(book: AlarmBook, place: int, times: Sequence[int]) -> Reach | None:
    """Between which times alarms that are over may have been raised by the readings at `times`; None: no rule is
    concerned."""
    rules = _rules(book, place, lasting=False)
    if not rules:
        return None
    return Reach(min(times) - LOOKBACK, max(times) + max(map(_reach, rules)))


def readings_around(book: AlarmBook, place: int, ended: Sequence[Alarm], times: Sequence[int]) -> Reach | None:
    """Which readings tell whether these alarms were any; None: none of them can be tried."""
    ended = _triable(book, place, ended, times)
    if not ended:
        return None
    reach = max(_reach(book.index.by_generation[one.generation]) for one in ended)
    return Reach(min(one.start for one in ended) - reach, max(one.cleared or 0 for one in ended) + 1)


def revoke_ended(book: AlarmBook, place: int, counting: Readings, ended: Sequence[Alarm], times: Sequence[int]) -> None:
    """Alarms that are over and were none, by the readings that count now within `readings_around`; and those that were
    some after all. Nobody is told."""
    found = _accepted(book.engine, place, counting)
    tried: dict[int, Sequence[Alarm]] = {}
    for one in _triable(book, place, ended, times):
        if one.generation not in tried:
            state = _tried(book, place, book.index.by_generation[one.generation], found)
            tried[one.generation] = [alarm for alarm in state.ledger.take().new if alarm.raised is not None]
        stands = any(
            alarm.start <= (one.cleared or one.start) and (alarm.cleared is None or alarm.cleared >= one.start)
            for alarm in tried[one.generation]
        )
        if stands and one.revocation is not None:
            book.ledger.revoked(one, None)
        elif not stands and one.revocation is None:
            book.ledger.revoked(one, _cause(one, times))


def _triable(book: AlarmBook, place: int, ended: Sequence[Alarm], times: Sequence[int]) -> list[Alarm]:
    """Of rules that are still evaluated like this, and not too long for all of their readings to be read."""
    generations = {rule.generation for rule in _rules(book, place, lasting=False)}
    return [
        one
        for one in ended
        if one.generation in generations
        and one.cleared is not None
        and one.start >= min(times) - LOOKBACK
        and one.cleared <= max(times) + LOOKBACK
    ]


def _cause(alarm: Alarm, times: Sequence[int]) -> int:
    """The one of the amended readings that is closest to the start."""
    return min(times, key=lambda at: abs(at - alarm.start))


def _rules(book: AlarmBook, place: int, *, lasting: bool = True) -> list[AlarmRule]:
    """Those about values; `lasting`: of which an alarm can last."""
    rows = book.index.rows
    rules = [book.index.rules[at] for at in rows["rule"][rows["series"] == place].tolist()]
    others = Completeness | ContainerEmptied | NoData if lasting else Completeness | NoData
    return [] if place not in book.presence else [rule for rule in rules if not isinstance(rule.condition, others)]


def _reach(rule: AlarmRule) -> int:
    match rule.condition:
        case FlatLine(duration=reach) | RateOfChange(over=reach) | Threshold(min_duration=reach):
            return max(reach, DAY)
        case _:
            return DAY


def _accepted(engine: Engine, place: int, counting: Readings) -> AcceptedValues:
    """All of them; of a counter those that are accepted."""
    states = engine.states.rows
    alone = counting._replace(series=np.zeros_like(counting.series))
    if states["kind"][place] == Kind.COUNTER and len(alone.time):
        scratch = Engine(engine.rules)
        row = scratch.states.blank(int(Kind.COUNTER), int(states["interval"][place]))
        row["counting"] = states["counting"][place]
        scratch.states.add(0, row, 0.0)
        scratch.decisions.update(engine.decided(place))
        if (found := accepted_values(scratch, alone, np.ones(1, bool))) is not None:
            return found
    last = alone.series[-1:], alone.time[-1:], alone.value[-1:]
    return AcceptedValues(alone, np.zeros(len(alone.time)), np.full(len(alone.time), NEVER), *last)


def _tried(
    book: AlarmBook, place: int, rule: AlarmRule, found: AcceptedValues, before: Alarm | None = None
) -> RuleState:
    """What the rule makes of these readings alone; `before`: an alarm that was open already when they begin."""
    state = book.state(place, rule)
    state.ledger, state.alarm = Ledger(), None if before is None else replace(before)
    if before is None:
        state.memory = []
    times, values = found.readings.time.tolist(), found.readings.value.tolist()
    if not times:
        return state
    if book.engine.states.rows["kind"][place] == Kind.COUNTER:
        evaluate_counter(state, times, values, found.amount.tolist(), int(found.since[0]), (NEVER, 0.0))
    else:
        evaluate(state, times, values, (NEVER, 0.0))
    return state


def _follow(state: RuleState, right: RuleState, times: Sequence[int]) -> None:
    """Brings what is open in step with what should be."""
    state.remember(right.memory)
    was, now = state.alarm, right.alarm
    if now is None or (was is None and now.start > max(times)):
        if was is not None:
            _was_none(state, was, times)
        return
    if was is not None and was.raised is not None and now.raised is None:
        _was_none(state, was, times)
        was = None
    if was is not None and was.raised is None and was.start != now.start:
        state.forget()
        was = None
    if was is None:
        was = _begun(state, now, right.memory)
    elif was.raised is None and now.raised is not None:
        state.raise_(now.raised, now.value)
    was.last_value, was.extreme, was.peak, was.update = now.last_value, now.extreme, now.peak, now.update
    state.ledger.touched(was)


def _was_none(state: RuleState, was: Alarm, times: Sequence[int]) -> None:
    end(was, was.update, None, state.rule, state.ledger, Cause.READING_AMENDED)
    if was.raised is not None:
        state.ledger.revoked(was, _cause(was, times))
    state.alarm = None


def _begun(state: RuleState, now: Alarm, memory: Sequence[float]) -> Alarm:
    """Another alarm than any that started then before it was amended."""
    occasion = state.news if state.news != NEVER else 0
    if now.raised is None:
        return state.begin(now.start, now.update, now.value, pending=True, occasion=occasion)
    first = memory[1] if memory and isinstance(state.rule.condition, FlatLine) else now.peak
    return state.begin(now.start, now.raised, now.value, shown=first, peak=now.peak, occasion=occasion)
