"""The alarms of one partition: evaluates readings as they arrive, windows as they close, and what time alone brings
about.

Nothing here does I/O: what has to be stored comes out as `AlarmChanges`, and belongs into the transaction of what was
evaluated. A series that no rule watches costs one look at a mask for each reading.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from services.aggregation.domain.alarms.accepted_values import accepted_values
from services.aggregation.domain.alarms.alarm import Alarm, AlarmChanges, Disproved, Memory
from services.aggregation.domain.alarms.amended import (
    Reach,
    ended_within,
    evaluate_amended,
    readings_around,
    revoke_ended,
    tried_since,
)
from services.aggregation.domain.alarms.book import DEFAULTS, AlarmBook, EvaluatorOptions
from services.aggregation.domain.alarms.clock import AlarmClock
from services.aggregation.domain.alarms.closed_windows import evaluate_closed, evaluate_revised
from services.aggregation.domain.alarms.conditions import (
    evaluate,
    evaluate_counter,
    evaluate_late_emptying,
    evaluate_silence,
)
from services.aggregation.domain.alarms.rule import AlarmRule, ContainerFull, Threshold
from services.aggregation.domain.alarms.rule_index import BatchProfile
from services.aggregation.domain.alarms.selection import (
    LastReadings,
    SelectedReadings,
    profile_of,
    select,
    select_accepted,
)
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.counters.correction import Correction
from services.aggregation.domain.late.propagation import RevisedWindow
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.series import Descriptor, Kind
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.engine import Engine
from services.aggregation.domain.windows.open_windows import ClosedWindows


class Evaluator:
    """Works on the series of `engine`, whose descriptors are `descriptors` (both grow). Not safe to use after an
    exception: make another."""

    def __init__(self, engine: Engine, descriptors: Sequence[Descriptor], options: EvaluatorOptions = DEFAULTS) -> None:
        self._engine = engine
        self._book = AlarmBook(engine, descriptors, options)
        self.clock = AlarmClock(self._book)

    def restore(self, alarms: Iterable[Alarm], memories: Iterable[Memory]) -> None:
        """Brings back what is stored of open alarms; a `plan` must follow."""
        self._book.restore(alarms, memories)

    def plan(self, rules: Iterable[AlarmRule], now: int) -> None:
        """Evaluates by these rules from now (the wall clock) on. Alarms of rules that are gone, disabled or changed in
        what they evaluate are cleared."""
        self._book.plan(rules, now)
        self._evaluate_last()

    def _evaluate_last(self) -> None:
        """By the last value of each series: a rule may be new, and its condition be met already."""
        book = self._book
        time, value = book.last.time[: book.size], book.last.value[: book.size]
        none = np.full(book.size, -np.inf)
        profile = BatchProfile(value, value, none, none, -none, -none)
        slots = np.where((time != NEVER) & book.watched[: book.size], np.arange(book.size), -1)
        slots[book.presence.absent] = -1
        rows = book.index.rows
        for at in book.index.affected(slots, profile).tolist():
            place, rule = int(rows["series"][at]), book.index.rules[int(rows["rule"][at])]
            if isinstance(rule.condition, Threshold | ContainerFull) and (rule.generation, place) not in book.alarms:
                state = book.state(place, rule)
                if book.stands(place, rule):
                    state.news = NEVER
                evaluate(state, [int(time[place])], [float(value[place])], (NEVER, 0.0))
                book.put_back(state)

    def moved(self, left: Iterable[tuple[int, int]], back: Iterable[tuple[int, int]] = ()) -> None:
        """Devices have left the places of these series (local index, when); others are `back`. What has been left is
        not evaluated until it sends again."""
        self._book.moved(left, back)

    def readings(self, fresh: Readings, accepted: int) -> None:
        """Evaluates readings (in the order of their arrival) that had all been accepted by `accepted` (the wall clock).
        Before the engine applies them."""
        book = self._book
        if not book.index.rules:
            return
        book.sync()
        book.now = accepted
        fresh = book.presence.take(fresh, len(self._engine.states))
        heard = select(fresh, book.watched, LastReadings(book.heard, book.last.value))
        counters = book.watched[: book.size] & (self._engine.states.rows["kind"] == Kind.COUNTER)
        if heard is not None and not counters[heard.owners].any():
            self._evaluate_all(heard)
        elif len(fresh.time):
            self._evaluate_all(select(fresh.take(~counters[fresh.series]), book.watched, book.last))
            among = np.zeros_like(counters)
            among[fresh.series] = True
            found = accepted_values(self._engine, fresh, counters & among)
            self._evaluate_all(None if found is None else select_accepted(found, book.last))
        if heard is not None:
            self._hear(heard, accepted)
            book.heard[heard.owners] = heard.time[heard.tails]

    def _evaluate_all(self, selected: SelectedReadings | None) -> None:
        if selected is None:
            return
        book = self._book
        profile = profile_of(selected, book.last, steps=book.index.steps)
        slots = self._slots(selected)
        rows = book.index.rows
        for at in book.index.affected(slots, profile).tolist():
            self._evaluate(int(rows["series"][at]), int(rows["rule"][at]), selected, int(slots[rows["series"][at]]))
        tails = selected.tails
        book.last.time[selected.owners] = selected.time[tails]
        book.last.value[selected.owners] = selected.value[tails]

    def _slots(self, selected: SelectedReadings) -> Ints:
        slots = np.full(self._book.size, -1)
        slots[selected.owners] = np.arange(len(selected.owners))
        return slots

    def _evaluate(self, place: int, rule: int, selected: SelectedReadings, slot: int) -> None:
        book = self._book
        state = book.state(place, book.index.rules[rule])
        span = slice(int(selected.heads[slot]), int(selected.tails[slot]) + 1)
        last = int(book.last.time[place]), float(book.last.value[place])
        times, values = selected.time[span].tolist(), selected.value[span].tolist()
        if selected.amount is None:
            evaluate(state, times, values, last)
        else:
            since = last[0] if selected.since is None else int(selected.since[selected.heads[slot]])
            evaluate_counter(state, times, values, selected.amount[span].tolist(), since, last)
        book.put_back(state)

    def _hear(self, selected: SelectedReadings, accepted: int) -> None:
        """Of series that were found quiet."""
        book = self._book
        quiet, slots = book.index.quiet(), self._slots(selected)
        for at in np.flatnonzero(quiet.active & (slots[quiet.series] >= 0)).tolist():
            state = book.state(int(quiet.series[at]), book.index.rules[int(quiet.rule[at])])
            slot = int(slots[quiet.series[at]])
            span = slice(int(selected.heads[slot]), int(selected.tails[slot]) + 1)
            after = int(quiet.after[at])
            evaluate_silence(state, selected.time[span].tolist(), selected.value[span].tolist(), after, accepted)
            book.put_back(state)

    def emptied(self, places: Sequence[int], times: Sequence[int]) -> None:
        """Evaluates containers emptied that come too late to be evaluated as readings. Before `readings`, of which the
        others are part."""
        book = self._book
        if not places or not book.index.rules:
            return
        book.sync()
        for place, at in zip(places, times, strict=True):
            last = int(book.last.time[place]), float(book.last.value[place])
            if not book.watched[place] or place not in book.presence or last[0] == NEVER or at > last[0]:
                continue
            for rule in book.index.emptied_rules(place):
                state = book.state(place, rule)
                evaluate_late_emptying(state, at, last)
                book.put_back(state)

    def windows(self, windows: Sequence[ClosedWindows], revised: Sequence[RevisedWindow] = ()) -> None:
        """Evaluates windows that have closed, or closed again; and before, older ones that have changed since they
        closed: these say whether an open alarm lasts, and never raise one."""
        if not self._book.index.rules:
            return
        self._book.sync()
        evaluate_revised(self._book, windows, revised)
        evaluate_closed(self._book, windows)

    def disproved(self, revoked: Sequence[Correction]) -> None:
        """Accepted values of counters that are none any more."""
        book = self._book
        for found in revoked:
            if found.series < book.size and book.watched[found.series]:
                book.ledger.disproved(Disproved(self._engine.states.ids[found.series], found.time, found.last_time))

    def tried_since(self, place: int, times: Sequence[int]) -> int | None:
        """From when on the readings of a series are needed, after those at `times` were amended; None: no rule is
        concerned."""
        return tried_since(self._book, place, times)

    def amended(self, place: int, counting: Readings, times: Sequence[int], since: int, now: int) -> None:
        """Brings alarms in step with the readings of the series that count from `since` on, in order, now (the wall
        clock) that those at `times` were amended."""
        self._book.now = now
        evaluate_amended(self._book, place, counting, times, since)

    def ended_within(self, place: int, times: Sequence[int]) -> Reach | None:
        """Between which times alarms that are over may have been raised by the readings at `times`, which were amended;
        None: no rule is concerned."""
        return ended_within(self._book, place, times)

    def readings_around(self, place: int, ended: Sequence[Alarm], times: Sequence[int]) -> Reach | None:
        """Which readings tell whether these alarms were any; None: none of them can be tried."""
        return readings_around(self._book, place, ended, times)

    def revoke_ended(self, place: int, counting: Readings, ended: Sequence[Alarm], times: Sequence[int]) -> None:
        """Marks those of the alarms that were none, by readings that count now within `readings_around`."""
        revoke_ended(self._book, place, counting, ended, times)

    def take(self) -> AlarmChanges:
        """What has to be stored since the last time."""
        return self._book.ledger.take()
