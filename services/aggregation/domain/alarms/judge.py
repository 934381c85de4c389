"""The alarms of one partition: judges readings as they arrive, windows as they close, and silence by the clock.

Nothing here does I/O: what has to be stored comes out as `AlarmChanges`, and belongs into the transaction of what was
judged. A series that no rule watches costs one look at a mask for each reading.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges, Memory
from services.aggregation.domain.alarms.cases import Case, Ledger, end
from services.aggregation.domain.alarms.completeness import (
    Window,
    at_least,
    first_after,
    judge_again,
    judge_window,
    ratios,
    window_of,
)
from services.aggregation.domain.alarms.judging import judge, judge_late_emptying
from services.aggregation.domain.alarms.rule import AlarmRule, FlatLine
from services.aggregation.domain.alarms.selecting import Judged, LastReadings, newest_readings, profile_of, select
from services.aggregation.domain.alarms.watches import NOT_DUE, Watches
from services.aggregation.domain.climb import Revised
from services.aggregation.domain.engine import Engine, Readings
from services.aggregation.domain.levels import Closed
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.statistics import NOWHERE
from services.aggregation.domain.summary import NEVER

_Key = tuple[int, int]
"""Generation of the rule, local index of the series."""


class Judge:
    """Works on the series of `engine`, whose descriptors are `descriptors` (both grow). Not safe to use after an
    exception: make another."""

    def __init__(self, engine: Engine, descriptors: Sequence[Descriptor]) -> None:
        self._engine = engine
        self._descriptors = descriptors
        self._ledger = Ledger()
        self._watches = Watches(())
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
        """Judges by these rules from now (the wall clock) on. Alarms of rules that are gone, disabled or changed in
        what they judge are cleared."""
        self._watches = Watches(rules)
        self._size = 0
        self._last = newest_readings(self._engine)
        self._watched = np.zeros(len(self._last.time), bool)
        self._sync()
        for key, alarm in list(self._alarms.items()):
            if key[0] not in self._watches.by_generation:
                end(alarm, now, None, None, self._ledger)
                del self._alarms[key]
        for key in list(self._memories):
            if key[0] not in self._watches.by_generation:
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
            self._watched[place] = self._watches.add(place, self._descriptors[place].key, self._descriptors[place].kind)
            if self._watched[place] and self._last.time[place] == NEVER:
                self._last.time[place], self._last.value[place] = states["newest"][place], states["settled"][place]
        self._size = known

    def readings(self, fresh: Readings) -> None:
        """Judges readings (in the order of their arrival). Before the engine applies them."""
        if not self._watches.rules:
            return
        self._sync()
        judged = select(fresh, self._watched, self._last)
        if judged is None:
            return
        profile = profile_of(judged, self._last, steps=self._watches.steps)
        slots = np.full(self._size, -1)
        slots[judged.owners] = np.arange(len(judged.owners))
        rows = self._watches.rows
        for at in self._watches.of_interest(slots, profile).tolist():
            self._judge(int(rows["series"][at]), int(rows["rule"][at]), judged, int(slots[rows["series"][at]]))
        tails = judged.tails
        self._last.time[judged.owners] = judged.time[tails]
        self._last.value[judged.owners] = judged.value[tails]

    def _judge(self, place: int, rule: int, judged: Judged, slot: int) -> None:
        case = self._case(place, self._watches.rules[rule])
        span = slice(int(judged.heads[slot]), int(judged.tails[slot]) + 1)
        last = int(self._last.time[place]), float(self._last.value[place])
        judge(case, judged.time[span].tolist(), judged.value[span].tolist(), last)
        self._put_back(case)

    def emptied(self, places: Sequence[int], times: Sequence[int]) -> None:
        """Judges containers emptied that come too late to be judged as readings. Before `readings`, of which the others
        are part."""
        if not places or not self._watches.rules:
            return
        self._sync()
        for place, at in zip(places, times, strict=True):
            last = int(self._last.time[place]), float(self._last.value[place])
            if not self._watched[place] or last[0] == NEVER or at > last[0]:
                continue
            for rule in self._watches.emptied_rules(place):
                case = self._case(place, rule)
                judge_late_emptying(case, at, last)
                self._put_back(case)

    def windows(self, windows: Sequence[Closed], revised: Sequence[Revised] = ()) -> None:
        """Judges windows that have closed, or closed again; and before, older ones that have changed since they closed:
        these say whether an open alarm lasts, and never raise one."""
        if not self._watches.rules:
            return
        self._sync()
        self._judge_revised(windows, revised)
        for closed in windows:
            watched = self._watches.completeness(closed.step, self._size)
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
                        case = self._case(window.series, rule)
                        judge_window(case, window, ratio, below)
                        self._put_back(case)

    def _judge_revised(self, closed: Sequence[Closed], revised: Sequence[Revised]) -> None:
        states = self._engine.states.rows
        for level, step in enumerate(self._engine.rules.steps):
            watched = self._watches.completeness(step, self._size)
            if watched is None or not watched.active.any():
                continue
            changed = [one for one in revised if one.told and one.step == step and watched.active[one.series]]
            # Latest first: the reading after each is known when its turn comes.
            windows: list[Window] = []
            for one in sorted(changed, key=lambda one: (one.series, one.start), reverse=True):
                after = first_after(closed, states["open"][one.series, level], one)
                if windows and windows[-1].series == one.series:
                    after = min(after, windows[-1].first)
                windows.append(Window(one.series, step, one.start, one.row, NOWHERE, after))
            for window in reversed(windows):
                for rule, below, by_cover in watched.rules.get(window.series, ()):
                    case = self._case(window.series, rule)
                    judge_again(case, states, window, below, by_cover=by_cover)
                    self._put_back(case)

    def deadline(self) -> int | None:
        """The wall clock's time at which `silence` has something to find; None: never, as it stands."""
        self._sync()
        due = self._watches.quiet().due(self._last.time)
        soonest = int(due.min(initial=NOT_DUE))
        return None if soonest == NOT_DUE else soonest

    def silence(self, until: int) -> None:
        """Raises what has been quiet for too long as of `until` (the wall clock). Everything that had been accepted by
        then must have been judged."""
        self._sync()
        quiet = self._watches.quiet()
        due = quiet.due(self._last.time)
        for at in np.flatnonzero(due <= until).tolist():
            case = self._case(int(quiet.series[at]), self._watches.rules[int(quiet.rule[at])])
            case.begin(int(due[at]), int(due[at]), None)
            self._put_back(case)

    def take(self) -> AlarmChanges:
        """What has to be stored since the last time."""
        return self._ledger.take()

    def _case(self, place: int, rule: AlarmRule) -> Case:
        key, descriptor = (rule.generation, place), self._descriptors[place]
        return Case(
            rule,
            self._engine.states.ids[place],
            descriptor.key,
            descriptor.unit,
            self._ledger,
            self._alarms.get(key),
            self._memories.get(key, []),
            place,
        )

    def _put_back(self, case: Case) -> None:
        key = case.rule.generation, case.place
        if case.alarm is not None:
            self._alarms[key] = case.alarm
        else:
            self._alarms.pop(key, None)
        if case.memory:
            self._memories[key] = case.memory
        else:
            self._memories.pop(key, None)
        self._settle(key)

    def _settle(self, key: _Key) -> None:
        """Readings of a series with an open alarm, or in a flat line, are of interest whatever they are."""
        rule = self._watches.by_generation[key[0]]
        remembers = isinstance(rule.condition, FlatLine) and key in self._memories
        self._watches.activate(*key, active=key in self._alarms or remembers)
