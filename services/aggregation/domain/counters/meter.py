"""One counter, reading by reading: which of its values are accepted, and what each of them adds.

The level is the last accepted value. A value at or above it, by no more than the cap allows, is accepted, and adds the
difference. Any other is judged by the policy (see `CounterRules` of the ingestion service's contract):

- *Held*: it is a suspect until later values tell. One that is back (at or above the level, below a step that was too
  steep) makes the suspects a glitch: they are ignored. When `CONFIRM` values in a row agree with each other (none below
  the one before, none steeper than the cap), counting goes on from the first of them, and the step to it is not
  counted: the counter was reset, or replaced (JUMP).
- *Believed at once* (RESET, ROLLOVER): it adds what the counter then must have counted. If the very next value is back
  at the old level, the belief is revoked: that value adds its difference to the old level, and the lower one nothing.
- *Rejected* (REJECT): a lower value is as if it had never come.

So no step is negative, none is above the cap, and one false value never counts for a whole meter reading.
"""

from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.counters.policy import CounterRules, Policy
from services.aggregation.domain.times import NEVER

CONFIRM: Final = 3
"""Readings that must agree on a new level before it is accepted."""

METER: Final = np.dtype(
    [
        ("level_time", "<i8"),
        ("level", "<f8"),
        ("held", "<i8"),
        ("held_time", "<i8", (CONFIRM - 1,)),
        ("held_value", "<f8", (CONFIRM - 1,)),
        ("old_time", "<i8"),
        ("old", "<f8"),
    ]
)
"""What is remembered of a counter between readings: the last accepted one (`NEVER` when there is none), the suspects,
and the level before, while the next reading may revoke the belief in the last accepted one (else `NEVER`)."""


def no_meters(length: int) -> Rows:
    """Counters that have not been read yet."""
    rows = np.zeros(length, METER)
    rows["level_time"] = rows["old_time"] = NEVER
    return rows


class Correction(NamedTuple):
    """A reading that was not taken at its word. `kind`: GLITCH, RESET, ROLLOVER, JUMP, REJECTED or REVOKED, as in the
    contract; `level`: the last accepted value before it."""

    series: int
    time: int
    value: float
    level: float
    kind: str


class Accepted(NamedTuple):
    """A reading that was accepted: its place in the columns, what it added, and since when."""

    place: int
    amount: float
    since: int


class Meter:
    """Takes the readings of one counter in, in the order of time."""

    def __init__(self, series: int, rules: CounterRules, row: Rows) -> None:
        self.accepted: list[Accepted] = []
        self.corrections: list[Correction] = []
        self.undone = False
        """The last reading accepted before was revoked: what it has added elsewhere is to be taken back."""
        self._series = series
        self._rules = rules
        self._row = row
        self._time, self._level = int(row["level_time"]), float(row["level"])
        held = int(row["held"])
        self._held = list(zip(row["held_time"][:held].tolist(), row["held_value"][:held].tolist(), strict=True))
        self._old = (int(row["old_time"]), float(row["old"]))

    def save(self) -> None:
        """Writes what is to be remembered into the row."""
        row = self._row
        row["level_time"], row["level"], row["held"] = self._time, self._level, len(self._held)
        row["held_time"], row["held_value"] = 0, 0.0
        for at, (time, value) in enumerate(self._held):
            row["held_time"][at], row["held_value"][at] = time, value
        row["old_time"], row["old"] = self._old

    def take(self, place: int, time: int, value: float) -> None:
        """The next reading."""
        if self._time == NEVER:
            self._accept(place, 0.0, NEVER, time, value)
            return
        if self._old[0] != NEVER and self._revokes(time, value):
            self._revoke()
        self._old = (NEVER, 0.0)
        since, level, rules = self._time, self._level, self._rules
        if self._continues(time, value):
            self._confirm(place, time, value)
        elif value >= level and rules.fits(since, level, time, value):
            self._forget()
            self._accept(place, value - level, since, time, value)
        elif value < level and rules.policy == Policy.REJECT:
            self._correct(time, value, "REJECTED")
        elif value < level and (amount := rules.believed(since, level, time, value)) is not None:
            self._forget()
            self._correct(time, value, rules.policy.name)
            self._accept(place, amount, since, time, value)
            self._old = (since, level)
        else:
            self._forget()
            self._held.append((time, value))

    def _accept(self, place: int, amount: float, since: int, time: int, value: float) -> None:
        self.accepted.append(Accepted(place, amount, since))
        self._time, self._level = time, value

    def _correct(self, time: int, value: float, kind: str) -> None:
        self.corrections.append(Correction(self._series, time, value, self._level, kind))

    def _forget(self) -> None:
        """The suspects were a glitch."""
        for time, value in self._held:
            self._correct(time, value, "GLITCH")
        self._held.clear()

    def _revokes(self, time: int, value: float) -> bool:
        since, old = self._old
        return value >= old and self._rules.fits(since, old, time, value)

    def _revoke(self) -> None:
        time, value = self._time, self._level
        self._time, self._level = self._old
        if self.accepted:
            self.accepted.pop()
            self.corrections.pop()
        else:
            self.undone = True
        self._correct(time, value, "REVOKED")

    def _continues(self, time: int, value: float) -> bool:
        """Whether the value agrees with the suspects and not with the level. Where a step was too steep, what agrees
        with it counts as its confirmation even when time has made it plausible: the step is never counted."""
        if not self._held:
            return False
        last_time, last = self._held[-1]
        if value < last or not self._rules.fits(last_time, last, time, value):
            return False
        return value < self._level or self._held[0][1] >= self._level

    def _confirm(self, place: int, time: int, value: float) -> None:
        self._held.append((time, value))
        if len(self._held) < CONFIRM:
            return
        first_time, first = self._held[0]
        self._held.clear()
        over = self._rules.over_the_end(self._time, self._level, first_time, first)
        if over is not None:
            self._correct(first_time, first, "ROLLOVER")
            self._accept(place, over + (value - first), self._time, time, value)
            return
        self._correct(first_time, first, "RESET" if first < self._level else "JUMP")
        self._accept(place, value - first, first_time, time, value)
