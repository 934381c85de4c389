"""What time alone brings about: series that have gone quiet, and values that stand and have met their duration."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.alarms.book import AlarmBook, Key
from services.aggregation.domain.alarms.rule_index import NOT_DUE, Entries
from services.aggregation.domain.columns import Ints
from services.aggregation.domain.times import NEVER


class _Due(NamedTuple):
    """Entry by entry: since when its condition may be met, and when that is found (`NOT_DUE`: never, as it stands)."""

    entries: Entries
    since: Ints
    at: Ints


class AlarmClock:
    """By the wall clock. Time in which no readings could be taken counts for nothing: from then on each series has the
    time that its rule allows, at the most three of its intervals or the grace."""

    def __init__(self, book: AlarmBook) -> None:
        self._book = book
        self._since = NEVER

    def resume(self, since: int) -> None:
        """Readings can be taken since then, and could not before."""
        self._since = since

    def deadline(self) -> int | None:
        """When `elapse` has something to find; None: never, as it stands."""
        self._book.sync()
        soonest = min(
            int(self._quiet().at.min(initial=NOT_DUE)),
            int(self._flat().at.min(initial=NOT_DUE)),
            min(map(self._held_until, self._book.pending), default=NOT_DUE),
        )
        return None if soonest == NOT_DUE else soonest

    def elapse(self, until: int) -> None:
        """Raises what is due. Everything that had been accepted by then must have been evaluated."""
        book = self._book
        book.sync()
        book.now = until
        for key in [key for key in book.pending if self._held_until(key) <= until]:
            state = book.state(key[1], book.index.by_generation[key[0]])
            state.raise_(self._held_until(key), book.alarms[key].last_value)
            book.put_back(state)
        for due in (self._quiet(), self._flat()):
            for at in np.flatnonzero(due.at <= until).tolist():
                self._raise(due, at)

    def _raise(self, due: _Due, at: int) -> None:
        book, place = self._book, int(due.entries.series[at])
        # That it is quiet may be old, that somebody wants to know is not.
        state = book.state(place, book.index.rules[int(due.entries.rule[at])], anyhow=True)
        start, found = int(due.since[at]), int(due.at[at])
        if due.entries.silence:
            state.begin(start + int(due.entries.after[at]), found, None)
        else:
            value = float(book.last.value[place])
            state.begin(start, found, value, shown=state.memory[1] if state.memory else value)
        book.put_back(state)

    def _quiet(self) -> _Due:
        entries = self._book.index.quiet()
        since = self._book.presence.expected_since(self._book.heard)[entries.series]
        since[entries.active] = NEVER
        return _Due(entries, since, self._after(entries, since))

    def _flat(self) -> _Due:
        """Flat lines of values that stand: since the first reading of the run, which is the last one of all unless
        another is remembered."""
        book = self._book
        entries = book.index.standing()
        since = book.last.time[entries.series]
        for at in np.flatnonzero(entries.active).tolist():
            key = book.index.rules[int(entries.rule[at])].generation, int(entries.series[at])
            since[at] = NEVER if key in book.alarms else int(book.memories[key][0])
        return _Due(entries, since, self._after(entries, since))

    def _after(self, entries: Entries, since: Ints) -> Ints:
        book = self._book
        due = since + entries.after
        if self._since != NEVER:
            patience = np.maximum(book.engine.states.rows["max_gap"], book.options.silence_grace)
            due = np.maximum(due, self._since + np.minimum(entries.after, patience[entries.series]))
        due[since == NEVER] = NOT_DUE
        if absent := book.presence.absent:
            due[np.isin(entries.series, absent)] = NOT_DUE
        return due

    def _held_until(self, key: Key) -> int:
        """When a value that stands has met its duration, if no other comes."""
        alarm, due = self._book.alarms[key], self._book.pending[key]
        if self._since == NEVER:
            return due
        patience = max(int(self._book.engine.states.rows["max_gap"][key[1]]), self._book.options.silence_grace)
        return max(due, self._since + min(due - alarm.start, patience))
