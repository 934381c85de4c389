"""The windows of one partition: takes readings in, decides what is late, settles the rest into windows, closes windows.

Readings newer than the last settled one of their series wait in a small buffer until the series' newest reading is
`grace` ahead; until then any order and any repeat costs nothing. Readings at or before the last settled one are late:
see `services.aggregation.domain.late`. Nothing here does I/O: what has to be stored comes out as `Changes`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Ints, heads_of, pick, unbounded
from services.aggregation.domain.counters.correction import Correction, Decision
from services.aggregation.domain.counters.increases import NO_DECISIONS, Decisions, Increases, Retold, increases
from services.aggregation.domain.readings import Readings, no_readings, order_of
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.closing import Deadlines, NextReadings, advance, deadlines
from services.aggregation.domain.windows.fold import fold_readings
from services.aggregation.domain.windows.open_windows import ClosedWindows, no_edges
from services.aggregation.domain.windows.series_state import SeriesStates
from services.aggregation.domain.windows.statistics import Edge, edge_share
from services.aggregation.domain.windows.vacant_windows import VacantWindows


def _repeats(batch: Readings) -> Bools:
    """Which readings have the event time of one before them."""
    order = order_of(batch.series, batch.time)
    series, time = batch.series[order], batch.time[order]
    found = np.zeros(len(order), bool)
    found[order[1:]] = (series[1:] == series[:-1]) & (time[1:] == time[:-1])
    return found


class SpannedWindows(NamedTuple):
    """Stored windows of the series that overlap [since, until] and end by `until` have closed with another idea of how
    their counter went on than is known now: by an increase over readings that were not accepted, the last of them at
    `until`."""

    series: int
    since: int
    until: int


@dataclass(slots=True)
class Changes:
    """What a step of the engine wants stored, all at once."""

    raw: Readings = field(default_factory=no_readings)
    """New readings, sorted by series and time."""
    closed: list[ClosedWindows] = field(default_factory=list[ClosedWindows])
    corrections: list[Correction] = field(default_factory=list[Correction])
    spanned: list[SpannedWindows] = field(default_factory=list[SpannedWindows])
    accepted: Readings = field(default_factory=no_readings)
    """Readings of counters that have settled and were accepted, with what is read there (of a held one, only once it is
    believed): what is to be judged of counters. Sorted by series and time."""
    duplicates: int = 0

    @property
    def touched(self) -> Ints:
        """Series whose windows closed: their state must be stored with them."""
        parts = [closed.series for closed in self.closed]
        return np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


class Admission(NamedTuple):
    """A batch, sorted out: `fresh` in order of arrival; `late` may change windows, `too_late` may not (both sorted)."""

    fresh: Readings
    late: Readings
    too_late: Readings
    duplicates: int


class Engine:
    """State and rules of one partition. Not safe to use after an exception: reload."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.states = SeriesStates(rules)
        self.buffer = no_readings()
        self.voided: set[tuple[int, int]] = set()
        """(series, event time) of readings that were voided before they have settled: those that come again are no
        news."""
        self.vacant = VacantWindows()
        self.decisions: dict[int, Mapping[int, Decision]] = {}
        """What people have decided about readings of counters, by series and event time."""

    def admit(self, batch: Readings) -> Admission:
        """Sorts out a batch (in order of arrival)."""
        settled = self.states.rows["settled_time"][batch.series]
        behind = batch.time <= settled
        too_late = self._too_late(batch)
        if too_late is None and not behind.any() and not self.voided:
            return Admission(batch, no_readings(), no_readings(), 0)
        if too_late is None:
            too_late = np.zeros(len(behind), bool)
        again = batch.time == settled
        if too_late.any():
            # What has come once more in this very batch is not stored yet, and still the first.
            again |= too_late & _repeats(batch)
        if self.voided:
            again |= self._voided(batch)
        gone = again | too_late
        return Admission(
            batch.take(~behind & ~gone),
            batch.take(behind & ~gone).sorted(),
            batch.take(too_late & ~again).sorted(),
            int(again.sum()),
        )

    def _voided(self, batch: Readings) -> Bools:
        settled = self.states.rows["settled_time"]
        self.voided = {(series, time) for series, time in self.voided if time > settled[series]}
        found = np.isin(batch.time, [time for _, time in self.voided])
        for at in np.flatnonzero(found).tolist():
            found[at] = (int(batch.series[at]), int(batch.time[at])) in self.voided
        return found

    def _too_late(self, batch: Readings) -> Bools | None:
        """Which readings were further behind the newest one of their series, when they arrived, than the lateness
        allows."""
        known = self.states.rows["newest"]
        newest = known.copy()
        np.maximum.at(newest, batch.series, batch.time)
        suspects = batch.time < newest[batch.series] - self.rules.lateness
        if not suspects.any():
            return None
        at = np.flatnonzero(np.isin(batch.series, np.unique(batch.series[suspects])))
        at = at[np.argsort(batch.series[at], kind="stable")]
        series, time = batch.series[at], batch.time[at]
        heads = heads_of(series, np.zeros_like(series))
        mark = np.maximum(time, known[series])
        back = np.flatnonzero((series[1:] == series[:-1]) & (time[1:] < time[:-1])) + 1
        for run in np.unique(np.searchsorted(heads, back, side="right") - 1):
            first, last = heads[run], heads[run + 1] if run + 1 < len(heads) else len(series)
            mark[first:last] = np.maximum.accumulate(mark[first:last])
        result = np.zeros(len(batch.time), bool)
        result[at] = time < mark - self.rules.lateness
        return result

    def apply(self, fresh: Readings, now: float, also: Ints | None = None) -> Changes:
        """Takes fresh readings in (order of arrival), at `now` of the loop's clock. `also`: series to look at again."""
        states = self.states
        mine = np.zeros(len(states), bool)
        mine[fresh.series] = True
        if also is not None:
            mine[also] = True
        touched = np.flatnonzero(mine)
        if not len(touched):
            return Changes()
        states.arrival[touched] = now
        waiting = mine[self.buffer.series]
        old = self.buffer.take(waiting)
        both = old + fresh
        is_new = np.zeros(len(both.time), bool)
        is_new[len(old.time) :] = True
        order = order_of(both.series, both.time)
        both, is_new = both.take(order), is_new[order]
        repeat = np.zeros(len(order), bool)
        repeat[1:] = (both.series[1:] == both.series[:-1]) & (both.time[1:] == both.time[:-1])
        duplicates = int(repeat.sum())
        if duplicates:
            both, is_new = both.take(~repeat), is_new[~repeat]
        raw = both if not len(old.time) else both.take(is_new)
        if len(both.time):
            tails = np.append(np.flatnonzero(both.series[1:] != both.series[:-1]), len(both.time) - 1)
            newest = states.rows["newest"]
            newest[both.series[tails]] = np.maximum(newest[both.series[tails]], both.time[tails])
        horizon = states.rows["newest"] - self.rules.grace
        ripe = both.time <= horizon[both.series]
        rest = both.take(~ripe)
        changes = self._settle(both.take(ripe), rest, touched, horizon[touched])
        self.buffer = self.buffer.take(~waiting) + rest
        changes.raw, changes.duplicates = raw, duplicates
        return changes

    def _settle(self, ripe: Readings, rest: Readings, touched: Ints, horizon: Ints) -> Changes:
        states = self.states.rows
        changes = Changes()
        gains = increases(states["kind"], states["counting"], states["meter"], *ripe, self.decisions)
        if gains is not None:
            # What it changes of settled readings must have been seen to before: see `late.rejudgement`.
            self.states.note_open_meters(gains.walked)
            changes.corrections = gains.corrections
            changes.accepted = ripe.take(gains.at)
            self._reopen(gains.retold)
            changes.spanned = self._spanned(ripe, gains)
        heads = heads_of(ripe.series, np.zeros_like(ripe.series))
        if len(heads):
            self.states.observe(ripe.series, ripe.time, heads)
            tails = np.append(heads[1:], len(ripe.series)) - 1
            states["settled_time"][ripe.series[tails]] = ripe.time[tails]
            states["settled"][ripe.series[tails]] = ripe.value[tails]
        profile = self.states.profile
        ahead = self._ahead(touched, rest)
        news = fold_readings(profile, *ripe, self.rules.steps[0], gains)
        for level, step in enumerate(self.rules.steps):
            news, closed = advance(states["open"][:, level], profile, touched, news, step, horizon, ahead)
            if len(closed.series):
                changes.closed.append(closed)
        return changes

    def _reopen(self, retold: Sequence[Retold]) -> None:
        """Windows that closed knowing the reading that settles first close again where it adds something else."""
        states = self.states.rows
        for one in retold:
            max_gap = int(states["max_gap"][one.series])
            edges = [None if found is None else Edge(found.since, one.time, found.amount) for found in one[2:]]
            for opened, step in zip(states["open"][one.series], self.rules.steps, strict=True):
                start = int(opened["start"])
                shares = {edge_share(max_gap, edge, start, start + step) for edge in edges}
                if len(shares) > 1 and opened["revision"] > 0 and opened["after_time"] == one.time:
                    opened["dirty"] = 1

    def _spanned(self, ripe: Readings, gains: Increases) -> list[SpannedWindows]:
        """What the increases span beside windows that close just now. Windows that had closed before the last reading
        in between knew it, but not the increase."""
        states = self.states.rows
        last = states["settled_time"][ripe.series]
        inner = np.flatnonzero(ripe.series[1:] == ripe.series[:-1]) + 1
        last[inner] = ripe.time[inner - 1]
        found: list[SpannedWindows] = []
        for at in np.flatnonzero((gains.since != NEVER) & (last[gains.at] > gains.since)):
            place, amount, since = int(gains.at[at]), float(gains.amount[at]), int(gains.since[at])
            series, until = int(ripe.series[place]), int(last[place])
            max_gap = int(states["max_gap"][series])
            if until - since > max_gap:
                continue
            # What was believed has told them something, too.
            if series in gains.past or (amount and ripe.time[place] - since <= max_gap):
                found.append(SpannedWindows(series, since, until))
        return found

    @unbounded
    def _ahead(self, touched: Ints, rest: Readings) -> NextReadings:
        """The first unsettled reading of each touched series."""
        time, value, edge = np.full(len(touched), NEVER), np.zeros(len(touched)), no_edges(len(touched))
        heads = heads_of(rest.series, np.zeros_like(rest.series))
        if not len(heads):
            return NextReadings(time, value, edge)
        owners = rest.series[heads]
        places = np.searchsorted(touched, owners)
        time[places], value[places] = rest.time[heads], rest.value[heads]
        states = pick(self.states.rows, owners)
        alone = np.arange(len(owners))
        # On copies: what has not settled is no one's truth yet.
        gains = increases(
            states["kind"],
            states["counting"],
            states["meter"],
            alone,
            rest.time[heads],
            rest.value[heads],
            {at: self.decisions[owner] for at, owner in enumerate(owners.tolist()) if owner in self.decisions}
            if self.decisions
            else NO_DECISIONS,
        )
        if gains is not None:
            chosen = places[gains.at]
            edge["edge_from"][chosen] = gains.since
            edge["edge_to"][chosen] = rest.time[heads][gains.at]
            edge["edge"][chosen] = gains.amount
        return NextReadings(time, value, edge)

    def decided(self, series: int) -> Decisions:
        """What people have decided about a series, for whoever counts it alone."""
        return {0: self.decisions[series]} if series in self.decisions else NO_DECISIONS

    def next_deadline(self, clock: float, wall: int) -> float | None:
        """When `tick` has something to do (the loop's clock, now `clock`; the wall clock now is `wall`
        microseconds)."""
        return self._deadlines().soonest(clock, wall) if len(self.states) else None

    def quiet(self, clock: float, wall: int) -> Bools:
        """Which series have gone quiet and have something to close: `tick` settles all that waits of them."""
        return self._deadlines().passed(clock, wall)

    def _deadlines(self) -> Deadlines:
        return deadlines(self.states, self.buffer.series, self.buffer.time)

    def tick(self, clock: float, wall: int) -> Changes:
        """Closes what is due of series that have gone quiet."""
        if not len(self.states):
            return Changes()
        chosen = self.quiet(clock, wall)
        touched = np.flatnonzero(chosen)
        if not len(touched):
            return Changes()
        waiting = chosen[self.buffer.series]
        ripe = self.buffer.take(waiting)
        self.buffer = self.buffer.take(~waiting)
        return self._settle(ripe.sorted(), no_readings(), touched, np.full(len(touched), wall - self.rules.grace))
