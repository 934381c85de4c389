"""Alarms after readings of a series were amended, or decided about: as if they had come like this.

The rules are tried on what counts now, from before the first reading that is another one. Who had been told of what
was none is told that it is over; what stands on other readings goes on; what is due only now is raised.
"""

from collections.abc import Sequence
from typing import Final

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
"""How far before the newest reading of a series rules are tried. Alarms that are open for longer are left alone."""


def tried_since(book: AlarmBook, place: int, times: Sequence[int]) -> int | None:
    """From when on the readings are needed, after those at `times` were amended; None: no rule is concerned."""
    book.sync()
    rules = _rules(book, place)
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
        if was is not None and was.start < since:
            continue
        state = book.state(place, rule)
        _follow(state, _tried(book, place, rule, found), max(times))
        book.put_back(state)
    if len(values.time):
        book.last.time[place], book.last.value[place] = values.time[-1], values.value[-1]
    elif not len(counting.time) and min(times) <= book.last.time[place]:
        book.last.time[place] = NEVER


def _rules(book: AlarmBook, place: int) -> list[AlarmRule]:
    """Those about values, of which an alarm can last."""
    rows = book.index.rows
    rules = [book.index.rules[at] for at in rows["rule"][rows["series"] == place].tolist()]
    others = Completeness | ContainerEmptied | NoData
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
    return AcceptedValues(alone, np.zeros(len(alone.time)), np.full(len(alone.time), NEVER))


def _tried(book: AlarmBook, place: int, rule: AlarmRule, found: AcceptedValues) -> RuleState:
    """What the rule makes of these readings alone."""
    state = book.state(place, rule)
    state.ledger, state.alarm, state.memory = Ledger(), None, []
    times, values = found.readings.time.tolist(), found.readings.value.tolist()
    if not times:
        return state
    if book.engine.states.rows["kind"][place] == Kind.COUNTER:
        evaluate_counter(state, times, values, found.amount.tolist(), int(found.since[0]), (NEVER, 0.0))
    else:
        evaluate(state, times, values, (NEVER, 0.0))
    return state


def _follow(state: RuleState, right: RuleState, amended: int) -> None:
    """Brings what is open in step with what should be."""
    state.remember(right.memory)
    was, now = state.alarm, right.alarm
    if now is None or (was is None and now.start > amended):
        if was is not None:
            end(was, was.update, None, state.rule, state.ledger, Cause.READING_AMENDED)
            state.alarm = None
        return
    if was is not None and was.raised is not None and now.raised is None:
        end(was, was.update, None, state.rule, state.ledger, Cause.READING_AMENDED)
        was = state.alarm = None
    if was is not None and was.raised is None and was.start != now.start:
        state.forget()
        was = None
    if was is None:
        was = _begun(state, now, right.memory)
    elif was.raised is None and now.raised is not None:
        state.raise_(now.raised, now.value)
    was.last_value, was.extreme, was.peak, was.update = now.last_value, now.extreme, now.peak, now.update
    state.ledger.touched(was)


def _begun(state: RuleState, now: Alarm, memory: Sequence[float]) -> Alarm:
    """Another alarm than any that started then before it was amended."""
    occasion = state.news if state.news != NEVER else 0
    if now.raised is None:
        return state.begin(now.start, now.update, now.value, pending=True, occasion=occasion)
    first = memory[1] if memory and isinstance(state.rule.condition, FlatLine) else now.peak
    return state.begin(now.start, now.raised, now.value, shown=first, peak=now.peak, occasion=occasion)
