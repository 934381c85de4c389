"""True increases of counters (meters), many at once.

Counters that only grow, at a usual pace, are worked out in columns; the others reading by reading (see
`services.aggregation.domain.counters.meter`), so that a storm of odd values slows down nobody else.

An increase belongs to the span from the accepted reading before (`since`) to the reading that brought it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, unbounded
from services.aggregation.domain.counters.correction import Correction, Decision
from services.aggregation.domain.counters.meter import Meter
from services.aggregation.domain.counters.meter_row import Accepted
from services.aggregation.domain.counters.plausibility import SHORTEST
from services.aggregation.domain.counters.policy import ROUNDING, rules_of
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, NEVER


class Retold(NamedTuple):
    """The first of these readings of a series, which adds something else than by itself."""

    series: int
    time: int
    alone: Accepted | None
    now: Accepted | None


@dataclass(slots=True)
class Increases:
    """The accepted readings: their places in the columns (ascending), the increase that each brought, and since when.
    `anchored`: which of them are anchors; for these the level and the pace after them. `past`: series of which readings
    before these are judged otherwise now; `walked`: those that were taken reading by reading; `retold`: what was told
    of these readings before they were settled may be something else."""

    at: Ints
    amount: Floats
    since: Ints
    anchored: Bools
    level: Floats
    pace: Floats
    corrections: list[Correction]
    past: list[int]
    walked: list[int]
    retold: list[Retold]

    def take(self, chosen: Bools, first: int, corrections: list[Correction]) -> "Increases":
        """Those chosen, in the columns without the `first` readings, and with these corrections."""
        return Increases(
            self.at[chosen] - first,
            self.amount[chosen],
            self.since[chosen],
            self.anchored[chosen],
            self.level[chosen],
            self.pace[chosen],
            corrections,
            [],
            [],
            [],
        )


Decisions = Mapping[int, Mapping[int, Decision]]
"""By series and event time."""
NO_DECISIONS: Final[Decisions] = {}


@unbounded
def increases(
    kinds: Ints,
    rules: Rows,
    meters: Rows,
    series: Ints,
    time: Ints,
    value: Floats,
    decisions: Decisions = NO_DECISIONS,
) -> Increases | None:
    """Takes readings of counters in (others are passed over) and moves their `meters` (indexed by series, like `kinds`
    and `rules`) on.

    (series, time) must be strictly increasing, and later than what the meters have seen. None when there is no counter.
    """
    places = np.flatnonzero(kinds[series] == Kind.COUNTER)
    if not len(places):
        return None
    who, when, what = series[places], time[places], value[places]
    head = np.ones(len(who), bool)
    head[1:] = who[1:] != who[:-1]
    heads = np.flatnonzero(head)
    owners = who[heads]
    before, since = np.empty(len(who)), np.empty(len(who), np.int64)
    before[1:], since[1:] = what[:-1], when[:-1]
    # Field by field: a row is ten times as long as what is needed of it.
    before[heads], since[heads] = meters["level"][owners], meters["level_time"][owners]
    elapsed = when - since
    unseen = np.flatnonzero(since == NEVER)
    before[unseen], elapsed[unseen] = what[unseen], 0
    amount = what - before
    tails = np.append(heads[1:], len(who)) - 1
    sizes = tails - heads + 1
    pace = np.repeat(meters["pace"][owners], sizes)
    unusual = _unusual(amount, elapsed, pace)
    caps = rules["cap"][owners]
    if caps.any():
        unusual |= _steep(np.repeat(caps, sizes), elapsed, before, amount, what)
    odd = np.logical_or.reduceat(unusual, heads) | (meters["open"][owners] != 0)
    if decisions:
        odd |= np.isin(owners, list(decisions))
    if not odd.any():
        meters["level_time"][owners], meters["level"][owners] = when[tails], what[tails]
        return Increases(places, amount, since, np.ones(len(places), bool), what, pace, [], [], [], [])
    plain = ~odd
    meters["level_time"][owners[plain]] = when[tails[plain]]
    meters["level"][owners[plain]] = what[tails[plain]]
    walked = owners[odd].tolist()
    found = Increases(places, amount, since, np.repeat(plain, sizes), what.copy(), pace, [], [], walked, [])
    accepted = found.anchored.copy()
    for run in np.flatnonzero(odd).tolist():
        first, last, owner = int(heads[run]), int(tails[run]) + 1, int(owners[run])
        meter = Meter(owner, rules_of(rules[owner]), meters[owner], decisions.get(owner, {}))
        meter.take(first, int(when[first]), float(what[first]))
        alone = meter.accepted.get(first)
        for place in range(first + 1, last):
            meter.take(place, int(when[place]), float(what[place]))
        meter.save()
        now = meter.accepted.get(first)
        if now != alone:
            found.retold.append(Retold(owner, int(when[first]), alone, now))
        for place, (gain, start, anchor) in meter.accepted.items():
            accepted[place], amount[place], since[place] = True, gain, start
            if anchor is not None:
                found.anchored[place], found.level[place], found.pace[place] = True, anchor.level, anchor.pace
        found.corrections += meter.corrections
        if meter.past:
            found.past.append(owner)
    found.at, found.amount, found.since = places[accepted], amount[accepted], since[accepted]
    found.anchored, found.level, found.pace = (
        found.anchored[accepted],
        found.level[accepted],
        found.pace[accepted],
    )
    return found


def _unusual(amount: Floats, elapsed: Ints, pace: Floats) -> Bools:
    """Which steps are falls, or steeper than the pace: `plausibility.within`, in columns."""
    return (amount < 0) | (amount * HOUR > pace * np.maximum(elapsed, SHORTEST))


def _steep(cap: Floats, elapsed: Ints, before: Floats, amount: Floats, what: Floats) -> Bools:
    """Which steps are above the cap: `CounterRules.fits`, in columns."""
    allowance = cap * elapsed / HOUR + ROUNDING * np.maximum(np.abs(before), np.abs(what))
    return (cap > 0) & (amount > allowance)
