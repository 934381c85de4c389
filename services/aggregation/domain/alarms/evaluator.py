"""The alarms of one partition: evaluates readings as they arrive, windows as they close, and silence by the clock.

Nothing here does I/O: what has to be stored comes out as `AlarmChanges`, and belongs into the transaction of what was
evaluated. A series that no rule watches costs one look at a mask for each reading.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges, Memory
from services.aggregation.domain.alarms.completeness import (
    Window,
    at_least,
    evaluate_window,
    first_after,
    ratios,
    reevaluate_window,
    window_of,
)
from services.aggregation.domain.alarms.conditions import evaluate, evaluate_late_emptying
from services.aggregation.domain.alarms.rule import AlarmRule, FlatLine
from services.aggregation.domain.alarms.rule_index import NOT_DUE, RuleIndex
from services.aggregation.domain.alarms.rule_state import Ledger, RuleState, end
from services.aggregation.domain.alarms.selection import (
    LastReadings,
    SelectedReadings,
    newest_readings,
    profile_of,
    select,
)
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.open_windows import ClosedWindows
from services.aggregation.domain.windows.statistics import NOWHERE

_Key = tuple[int, int]
"""Generation of the rule, local index of the series."""


class Evaluator:
    """Works on the series of `engine`, whose descriptors are `descriptors` (both grow). Not safe to use after an
    exception: make another."""

    def __init__(self, engine: Engine, descriptors: Sequence[Descriptor]) -> None:
        self._engine = engine
        self._descriptors = descriptors
        self._ledger = Ledger()
        self._index = RuleIndex(())
        self._watched = np.zeros(64, bool)
        self._last = LastReadings(np.full(64, NEVER), np.zeros(64))
        self._size = 0
        self._alarms: dict[_Key, Alarm] = {}
        self._memories: dict[_Key, list[float]] = {}

    def restore(self, alarms: Iterable[Alarm], memories: Iterable[Memory]) -> None:
        """Brings back what is stored of open alarms; a `plan` must follow."""
        index = self._engine.states.index
        self._alarms = {(one.generation, index[one.series_id]): one for one in alarms if one.series_id in index}
        self._memories = {
            (one.generation, index[one.series_id]): list(one.values) for one in memories if one.series_id in index
        }

    def plan(self, rules: Iterable[AlarmRule], now: int) -> None:
        """Evaluates by these rules from now (the wall clock) on. Alarms of rules that are gone, disabled or changed in
        what they evaluate are cleared."""
        self._index = RuleIndex(rules)
        self._size = 0
        self._last = newest_readings(self._engine)
        self._watched = np.zeros(len(self._last.time), bool)
        self._sync()
        for key, alarm in list(self._alarms.items()):
            if key[0] not in self._index.by_generation:
                end(alarm, now, None, None, self._ledger)
                del self._alarms[key]
        for key in list(self._memories):
            if key[0] not in self._index.by_generation:
                del self._memories[key]
        for key in {*self._alarms, *self._memories}:
            self._settle(key)

    def _sync(self) -> None:
        """Takes in the series that have come since the last time."""
        known = len(self._engine.states)
        if known > len(self._watched):
            more = max(known, 2 * len(self._watched)) - len(self._watched)
            self._watched = np.concatenate([self._watched, np.zeros(more, bool)])
            time, value = self._last
            self._last = LastReadings(
                np.concatenate([time, np.full(more, NEVER)]), np.concatenate([value, np.zeros(more)])
            )
        states = self._engine.states.rows
        for place in range(self._size, known):
            self._watched[place] = self._index.add(place, self._descriptors[place].key, self._descriptors[place].kind)
            if self._watched[place] and self._last.time[place] == NEVER:
                self._last.time[place], self._last.value[place] = states["newest"][place], states["settled"][place]
        self._size = known

    def readings(self, fresh: Readings) -> None:
        """Evaluates readings (in the order of their arrival). Before the engine applies them."""
        if not self._index.rules:
            return
        self._sync()
        selected = select(fresh, self._watched, self._last)
        if selected is None:
            return
        profile = profile_of(selected, self._last, steps=self._index.steps)
        slots = np.full(self._size, -1)
        slots[selected.owners] = np.arange(len(selected.owners))
        rows = self._index.rows
        for at in self._index.affected(slots, profile).tolist():
            self._evaluate(int(rows["series"][at]), int(rows["rule"][at]), selected, int(slots[rows["series"][at]]))
        tails = selected.tails
        self._last.time[selected.owners] = selected.time[tails]
        self._last.value[selected.owners] = selected.value[tails]

    def _evaluate(self, place: int, rule: int, selected: SelectedReadings, slot: int) -> None:
        state = self._state(place, self._index.rules[rule])
        span = slice(int(selected.heads[slot]), int(selected.tails[slot]) + 1)
        last = int(self._last.time[place]), float(self._last.value[place])
        evaluate(state, selected.time[span].tolist(), selected.value[span].tolist(), last)
        self._put_back(state)

    def emptied(self, places: Sequence[int], times: Sequence[int]) -> None:
        """Evaluates containers emptied that come too late to be evaluated as readings. Before `readings`, of which the
        others are part."""
        if not places or not self._index.rules:
            return
        self._sync()
        for place, at in zip(places, times, strict=True):
            last = int(self._last.time[place]), float(self._last.value[place])
            if not self._watched[place] or last[0] == NEVER or at > last[0]:
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

    def deadline(self) -> int | None:
        """The wall clock's time at which `silence` has something to find; None: never, as it stands."""
        self._sync()
        due = self._index.quiet().due(self._last.time)
        soonest = int(due.min(initial=NOT_DUE))
        return None if soonest == NOT_DUE else soonest

    def silence(self, until: int) -> None:
        """Raises what has been quiet for too long as of `until` (the wall clock). Everything that had been accepted by
        then must have been evaluated."""
        self._sync()
        quiet = self._index.quiet()
        due = quiet.due(self._last.time)
        for at in np.flatnonzero(due <= until).tolist():
            state = self._state(int(quiet.series[at]), self._index.rules[int(quiet.rule[at])])
            state.begin(int(due[at]), int(due[at]), None)
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
        remembers = isinstance(rule.condition, FlatLine) and key in self._memories
        self._index.activate(*key, active=key in self._alarms or remembers)
