"""True increases of counters (meters), many at once.

Counters that only grow, within their caps, are worked out in columns; the others reading by reading (see
`services.aggregation.domain.counters.meter`), so that a storm of odd values slows down nobody else.

An increase belongs to the span from the accepted reading before (`since`) to the reading that brought it.
"""

from dataclasses import dataclass

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, Rows, unbounded
from services.aggregation.domain.counters.meter import Correction, Meter
from services.aggregation.domain.counters.policy import ROUNDING, rules_of
from services.aggregation.domain.series import Kind
from services.aggregation.domain.times import HOUR, NEVER


@dataclass(slots=True)
class Increases:
    """The accepted readings: their places in the columns (ascending), the increase that each brought, and since
    when. `undone`: series whose reading accepted last before these was revoked by them."""

    at: Ints
    amount: Floats
    since: Ints
    corrections: list[Correction]
    undone: list[int]


@unbounded
def increases(kinds: Ints, rules: Rows, meters: Rows, series: Ints, time: Ints, value: Floats) -> Increases | None:
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
    before[heads], since[heads] = meters["level"][owners], meters["level_time"][owners]
    unseen = since == NEVER
    before[unseen] = what[unseen]
    amount = what - before
    odd = np.minimum.reduceat(amount, heads) < 0
    odd |= (meters["held"][owners] > 0) | (meters["old_time"][owners] != NEVER)
    tails = np.append(heads[1:], len(who)) - 1
    caps = rules["cap"][owners]
    if caps.any():
        steep = _steep(np.repeat(caps, tails - heads + 1), since, before, when, what)
        odd |= np.logical_or.reduceat(steep, heads)
    plain = ~odd
    meters["level_time"][owners[plain]] = when[tails[plain]]
    meters["level"][owners[plain]] = what[tails[plain]]
    if not odd.any():
        return Increases(places, amount, since, [], [])
    corrections: list[Correction] = []
    undone: list[int] = []
    accepted = np.repeat(plain, tails - heads + 1)
    for run in np.flatnonzero(odd):
        first, last, owner = int(heads[run]), int(tails[run]) + 1, int(owners[run])
        meter = Meter(owner, rules_of(rules[owner]), meters[owner])
        for place, (at, seen) in enumerate(zip(when[first:last].tolist(), what[first:last].tolist(), strict=True)):
            meter.take(first + place, at, seen)
        meter.save()
        for place, gain, start in meter.accepted:
            accepted[place], amount[place], since[place] = True, gain, start
        corrections += meter.corrections
        if meter.undone:
            undone.append(owner)
    return Increases(places[accepted], amount[accepted], since[accepted], corrections, undone)


def _steep(cap: Floats, since: Ints, before: Floats, when: Ints, what: Floats) -> Bools:
    """Which steps are above the cap: `CounterRules.fits`, in columns."""
    allowance = cap * (when - since) / HOUR + ROUNDING * np.maximum(np.abs(before), np.abs(what))
    return (cap > 0) & (since != NEVER) & (what - before > allowance)
