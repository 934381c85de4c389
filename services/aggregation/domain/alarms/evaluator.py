"""The alarms of one partition: evaluates readings as they arrive, windows as they close, and silence by the clock.

Nothing here does I/O: what has to be stored comes out as `AlarmChanges`, and belongs into the transaction of what was
evaluated. A series that no rule watches costs one look at a mask for each reading.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from services.aggregation.domain.alarms.accepted_values import accepted_values
from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges, Cause, Memory, State
from services.aggregation.domain.alarms.completeness import (
    Window,
    at_least,
    evaluate_window,
    first_after,
    ratios,
    reevaluate_window,
    window_of,
)
from services.aggregation.domain.alarms.conditions import (
    evaluate,
    evaluate_counter,
    evaluate_late_emptying,
    evaluate_silence,
)
from services.aggregation.domain.alarms.presence import Presence
from services.aggregation.domain.alarms.rule import AlarmRule, ContainerFull, FlatLine, Threshold
from services.aggregation.domain.alarms.rule_index import NOT_DUE, BatchProfile, RuleIndex, SilenceEntries
from services.aggregation.domain.alarms.rule_state import Ledger, RuleState, end
from services.aggregation.domain.alarms.selection import (
    LastReadings,
    SelectedReadings,
    last_evaluated,
    profile_of,
    select,
    select_accepted,
)
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import HOUR, MINUTE, NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import NOWHERE

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Key = tuple[int, int]
"""Generation of the rule, local index of the series."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorOptions:
    """`news_age`: what is older when it is accepted tells nobody. `silence_grace`: how long, at the most, a series is
    waited for after a time in which no readings could be taken; three of its intervals, where these are longer."""

    silence_grace: int = 5 * MINUTE
    news_age: int = HOUR


_DEFAULTS: Final = EvaluatorOptions()


class Evaluator:
    """Works on the series of `engine`, whose descriptors are `descriptors` (both grow). Not safe to use after an
    exception: make another."""

    def __init__(
        self, engine: Engine, descriptors: Sequence[Descriptor], options: EvaluatorOptions = _DEFAULTS
    ) -> None:
        self._engine = engine
        self._descriptors = descriptors
        self._ledger = Ledger()
        self._index = RuleIndex(())
        self._watched = np.zeros(64, bool)
        self._last = LastReadings(np.full(64, NEVER), np.zeros(64))
        self._heard: Ints = np.full(64, NEVER)
        self._now = NEVER
        self._pending: dict[_Key, int] = {}
        self._size = 0
        self._options = options
        self._since = NEVER
        self._presence = Presence()
        self._alarms: dict[_Key, Alarm] = {}
        self._memories: dict[_Key, list[float]] = {}

    def restore(self, alarms: Iterable[Alarm], memories: Iterable[Memory]) -> None:
        """Brings back what is stored of open alarms; a `plan` must follow."""
        index = self._engine.states.index
        alarms = list(alarms)
        for one in alarms:
            if one.lasting:
                one.state = State.RAISED  # to its owner: until the condition ends
        self._alarms = {(one.generation, index[one.series_id]): one for one in alarms if one.series_id in index}
        self._memories = {
            (one.generation, index[one.series_id]): list(one.values) for one in memories if one.series_id in index
        }

    def plan(self, rules: Iterable[AlarmRule], now: int) -> None:
        """Evaluates by these rules from now (the wall clock) on. Alarms of rules that are gone, disabled or changed in
        what they evaluate are cleared."""
        before = self._index.by_generation
        self._index = RuleIndex(rules)
        self._size = 0
        self._last = last_evaluated(self._engine)
        self._heard = self._engine.states.rows["newest"].copy()
        self._watched = np.zeros(len(self._heard), bool)
        self._now = now
        self._sync()
        for key, alarm in list(self._alarms.items()):
            if key[0] not in self._index.by_generation:
                end(alarm, now, None, before.get(key[0]), self._ledger, Cause.RULE_CHANGED)
                del self._alarms[key]
        for key in list(self._memories):
            if key[0] not in self._index.by_generation:
                del self._memories[key]
        self._pending.clear()
        for key in {*self._alarms, *self._memories}:
            self._settle(key)
        self._evaluate_last()

    def _evaluate_last(self) -> None:
        """By the last value of each series: a rule may be new, and its condition be met already."""
        time, value = self._last.time[: self._size], self._last.value[: self._size]
        none = np.full(self._size, -np.inf)
        profile = BatchProfile(value, value, none, none, -none, -none)
        slots = np.where((time != NEVER) & self._watched[: self._size], np.arange(self._size), -1)
        slots[self._presence.absent] = -1
        rows = self._index.rows
        for at in self._index.affected(slots, profile).tolist():
            place, rule = int(rows["series"][at]), self._index.rules[int(rows["rule"][at])]
            if isinstance(rule.condition, Threshold | ContainerFull) and (rule.generation, place) not in self._alarms:
                state = self._state(place, rule)
                if self._holds(place, rule):
                    state.news = NEVER
                evaluate(state, [int(time[place])], [float(value[place])], (NEVER, 0.0))
                self._put_back(state)

    def _sync(self) -> None:
        """Takes in the series that have come since the last time."""
        known = len(self._engine.states)
        if known > len(self._watched):
            more = max(known, 2 * len(self._watched)) - len(self._watched)
            self._watched = np.concatenate([self._watched, np.zeros(more, bool)])
            time, value = self._last
            unknown = np.full(more, NEVER)
            self._last = LastReadings(np.concatenate([time, unknown]), np.concatenate([value, np.zeros(more)]))
            self._heard = np.concatenate([self._heard, unknown])
        states = self._engine.states.rows
        for place in range(self._size, known):
            self._watched[place] = self._index.add(place, self._descriptors[place].key, self._descriptors[place].kind)
            if self._watched[place] and self._heard[place] == NEVER:
                self._heard[place] = states["newest"][place]
                self._last.time[place], self._last.value[place] = states["newest"][place], states["settled"][place]
        self._size = known

    def moved(self, left: Iterable[tuple[int, int]], back: Iterable[tuple[int, int]] = ()) -> None:
        """Devices have left the places of these series (local index, when); others are `back`. What has been left is
        not evaluated until it sends again."""
        for place, at in back:
            self._presence.come_back(place, at)
        newest = self._engine.states.rows["newest"]
        for place, at in left:
            if not self._presence.leave(place, at, int(newest[place])):
                continue
            for key in [key for key in self._alarms if key[1] == place]:
                rule = self._index.by_generation.get(key[0])
                end(self._alarms.pop(key), at, None, rule, self._ledger, Cause.DEVICE_LEFT)
                if rule is not None:
                    self._settle(key)

    def readings(self, fresh: Readings, accepted: int) -> None:
        """Evaluates readings (in the order of their arrival) that had all been accepted by `accepted` (the wall clock).
        Before the engine applies them."""
        if not self._index.rules:
            return
        self._sync()
        self._now = accepted
        fresh = self._presence.take(fresh, len(self._engine.states))
        heard = select(fresh, self._watched, LastReadings(self._heard, self._last.value))
        counters = self._watched[: self._size] & (self._engine.states.rows["kind"] == Kind.COUNTER)
        if heard is not None and not counters[heard.owners].any():
            self._evaluate_all(heard)
        elif len(fresh.time):
            self._evaluate_all(select(fresh.take(~counters[fresh.series]), self._watched, self._last))
            among = np.zeros_like(counters)
            among[fresh.series] = True
            found = accepted_values(self._engine, fresh, counters & among)
            self._evaluate_all(None if found is None else select_accepted(found, self._last))
        if heard is not None:
            self._hear(heard, accepted)
            self._heard[heard.owners] = heard.time[heard.tails]

    def _evaluate_all(self, selected: SelectedReadings | None) -> None:
        if selected is None:
            return
        profile = profile_of(selected, self._last, steps=self._index.steps)
        slots = self._slots(selected)
        rows = self._index.rows
        for at in self._index.affected(slots, profile).tolist():
            self._evaluate(int(rows["series"][at]), int(rows["rule"][at]), selected, int(slots[rows["series"][at]]))
        tails = selected.tails
        self._last.time[selected.owners] = selected.time[tails]
        self._last.value[selected.owners] = selected.value[tails]

    def _slots(self, selected: SelectedReadings) -> Ints:
        slots = np.full(self._size, -1)
        slots[selected.owners] = np.arange(len(selected.owners))
        return slots

    def _evaluate(self, place: int, rule: int, selected: SelectedReadings, slot: int) -> None:
        state = self._state(place, self._index.rules[rule])
        span = slice(int(selected.heads[slot]), int(selected.tails[slot]) + 1)
        last = int(self._last.time[place]), float(self._last.value[place])
        times, values = selected.time[span].tolist(), selected.value[span].tolist()
        if selected.amount is None:
            evaluate(state, times, values, last)
        else:
            since = last[0] if selected.since is None else int(selected.since[selected.heads[slot]])
            evaluate_counter(state, times, values, selected.amount[span].tolist(), since, last)
        self._put_back(state)

    def _hear(self, selected: SelectedReadings, accepted: int) -> None:
        """Of series that were found quiet."""
        quiet, slots = self._index.quiet(), self._slots(selected)
        for at in np.flatnonzero(quiet.active & (slots[quiet.series] >= 0)).tolist():
            state = self._state(int(quiet.series[at]), self._index.rules[int(quiet.rule[at])])
            slot = int(slots[quiet.series[at]])
            span = slice(int(selected.heads[slot]), int(selected.tails[slot]) + 1)
            after = int(quiet.after[at])
            evaluate_silence(state, selected.time[span].tolist(), selected.value[span].tolist(), after, accepted)
            self._put_back(state)

    def emptied(self, places: Sequence[int], times: Sequence[int]) -> None:
        """Evaluates containers emptied that come too late to be evaluated as readings. Before `readings`, of which the
        others are part."""
        if not places or not self._index.rules:
            return
        self._sync()
        for place, at in zip(places, times, strict=True):
            last = int(self._last.time[place]), float(self._last.value[place])
            if not self._watched[place] or place not in self._presence or last[0] == NEVER or at > last[0]:
                continue
            for rule in self._index.emptied_rules(place):
                state = self._state(place, rule)
                evaluate_late_emptying(state, at, last)
                self._put_back(state)

    def windows(self, windows: Sequence[ClosedWindows], revised: Sequence[RevisedWindow] = ()) -> None:
        """Evaluates windows that have closed, or closed again; and before, older ones that have changed since they
        closed: these say whether an open alarm lasts, and never raise one."""
        if not self._index.rules:
            return
        self._sync()
        self._evaluate_revised(windows, revised)
        for closed in windows:
            watched = self._index.completeness(closed.step, self._size)
            if watched is None or not len(closed.series):
                continue
            states = self._engine.states.rows
            received, covered = at_least(states, closed)
            places = closed.series
            suspects = watched.active[places] | (received < watched.received[places])
            suspects |= covered < watched.covered[places]
            # What raises an alarm here may be over with the next window.
            suspects = np.isin(places, places[suspects])
            for at in np.flatnonzero(suspects).tolist():
                window = window_of(closed, at)
                if window.series not in self._presence:
                    continue
                for rule, below, by_cover in watched.rules.get(window.series, ()):
                    ratio = ratios(states, window)[int(by_cover)]
                    if ratio is not None:
                        state = self._state(window.series, rule)
                        evaluate_window(state, window, ratio, below)
                        self._put_back(state)

    def _evaluate_revised(self, closed: Sequence[ClosedWindows], revised: Sequence[RevisedWindow]) -> None:
        states = self._engine.states.rows
        for level, step in enumerate(self._engine.rules.steps):
            watched = self._index.completeness(step, self._size)
            if watched is None or not watched.active.any():
                continue
            changed = [one for one in revised if one.visible and one.step == step and watched.active[one.series]]
            # Latest first: the reading after each is known when its turn comes.
            windows: list[Window] = []
            for one in sorted(changed, key=lambda one: (one.series, one.start), reverse=True):
                after = first_after(closed, states["open"][one.series, level], one)
                if windows and windows[-1].series == one.series:
                    after = min(after, windows[-1].first)
                windows.append(Window(one.series, step, one.start, one.row, NOWHERE, after))
            for window in reversed(windows):
                for rule, below, by_cover in watched.rules.get(window.series, ()):
                    state = self._state(window.series, rule)
                    reevaluate_window(state, states, window, below, by_cover=by_cover)
                    self._put_back(state)

    def resume(self, since: int) -> None:
        """Readings can be taken since then, and could not before (the wall clock)."""
        self._since = since

    def deadline(self) -> int | None:
        """The wall clock's time at which `elapse` has something to find; None: never, as it stands."""
        self._sync()
        soonest = min(
            int(self._due(self._index.quiet()).min(initial=NOT_DUE)),
            min(map(self._held_until, self._pending), default=NOT_DUE),
        )
        return None if soonest == NOT_DUE else soonest

    def _held_until(self, key: _Key) -> int:
        """When a value that holds has met its duration, if no other comes."""
        alarm, due = self._alarms[key], self._pending[key]
        if self._since == NEVER:
            return due
        patience = max(int(self._engine.states.rows["max_gap"][key[1]]), self._options.silence_grace)
        return max(due, self._since + min(due - alarm.start, patience))

    def _due(self, quiet: SilenceEntries) -> Ints:
        patience = np.maximum(self._engine.states.rows["max_gap"], self._options.silence_grace)
        due = quiet.due(self._presence.expected_since(self._heard), patience, self._since)
        if absent := self._presence.absent:
            due[np.isin(quiet.series, absent)] = NOT_DUE
        return due

    def elapse(self, until: int) -> None:
        """Raises what time alone brings about as of `until` (the wall clock): series that have been quiet for too long,
        values that have held for long enough. Everything that had been accepted by then must have been evaluated."""
        self._sync()
        self._now = until
        for key in [key for key in self._pending if self._held_until(key) <= until]:
            state = self._state(key[1], self._index.by_generation[key[0]])
            state.raise_(self._held_until(key), self._alarms[key].last_value)
            self._put_back(state)
        quiet = self._index.quiet()
        due, since = self._due(quiet), self._presence.expected_since(self._heard)
        for at in np.flatnonzero(due <= until).tolist():
            place = int(quiet.series[at])
            state = self._state(place, self._index.rules[int(quiet.rule[at])])
            if state.rule.updated is not None and _microseconds(state.rule.updated) >= state.news:
                state.news = NEVER  # that it is quiet may be old, that somebody wants to know is not
            state.begin(int(since[place]) + int(quiet.after[at]), int(due[at]), None)
            self._put_back(state)

    def take(self) -> AlarmChanges:
        """What has to be stored since the last time."""
        return self._ledger.take()

    def _state(self, place: int, rule: AlarmRule) -> RuleState:
        key, descriptor = (rule.generation, place), self._descriptors[place]
        return RuleState(
            rule,
            self._engine.states.ids[place],
            descriptor.key,
            descriptor.unit,
            self._ledger,
            self._alarms.get(key),
            self._memories.get(key, []),
            place,
            NEVER if self._now == NEVER else self._now - self._options.news_age,
        )

    def _put_back(self, state: RuleState) -> None:
        key = state.rule.generation, state.place
        if state.alarm is not None:
            self._alarms[key] = state.alarm
        else:
            self._alarms.pop(key, None)
        if state.memory:
            self._memories[key] = state.memory
        else:
            self._memories.pop(key, None)
        self._settle(key)

    def _settle(self, key: _Key) -> None:
        """Readings of a series with an open alarm, or in a flat line, are of interest whatever they are."""
        rule = self._index.by_generation[key[0]]
        alarm = self._alarms.get(key)
        if alarm is not None and alarm.raised is None and self._holds(key[1], rule):
            self._pending[key] = alarm.start + _min_duration(rule)
        else:
            self._pending.pop(key, None)
        remembers = isinstance(rule.condition, FlatLine) and key in self._memories
        self._index.activate(*key, active=key in self._alarms or remembers)

    def _holds(self, place: int, rule: AlarmRule) -> bool:
        """Whether a value stands until the next one."""
        condition = rule.condition
        return self._descriptors[place].kind == Kind.LEVEL or (isinstance(condition, Threshold) and condition.holds)


def _min_duration(rule: AlarmRule) -> int:
    return rule.condition.min_duration if isinstance(rule.condition, Threshold) else 0


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
