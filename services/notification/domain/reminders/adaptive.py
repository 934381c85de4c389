"""How often a reminder runs, by how often it is opened: a deterministic rule with hysteresis (ADR 0025).

`every` is the frequency: 1 runs at every occurrence, 2 at every second. Once WINDOW notifications have been sent they
are judged, and a new window begins: each notification is judged once, at the frequency at which it was sent. A step
doubles or halves `every`. The thresholds lie far apart: an open rate that stays the same, to within what WINDOW of
them can show, meets one of them at most, and so never moves the frequency both ways.
"""

from dataclasses import dataclass
from typing import Final

from services.chassis.errors import FieldViolation, InvalidArgument

WINDOW: Final = 20
"""Notifications that a step takes."""
THIN_OUT_AT: Final = 0.2
"""At this open rate, or below, `every` doubles."""
COME_BACK_AT: Final = 0.6
"""At this open rate, or above, `every` halves."""
MOST_EVERY: Final = 64


@dataclass(frozen=True, slots=True)
class Adaptive:
    """The bounds of `every`. Raises InvalidArgument."""

    min_every: int
    max_every: int

    def __post_init__(self) -> None:
        if not 1 <= self.min_every <= self.max_every <= MOST_EVERY:
            rule = f"must be at least minEvery and at most {MOST_EVERY}"
            raise InvalidArgument(
                violations=[FieldViolation("reminder.adaptive.maxEvery", rule, "BOUNDS")], reason="INVALID_FIELD"
            )

    def bounded(self, every: int) -> int:
        """The frequency within the bounds."""
        return min(max(every, self.min_every), self.max_every)


@dataclass(frozen=True, slots=True)
class Opens:
    """Of the notifications of the present window, WINDOW at most: how many were sent, and how many of them opened."""

    sent: int
    opened: int

    @property
    def complete(self) -> bool:
        """Whether they are judged."""
        return self.sent >= WINDOW


def adapted(every: int, bounds: Adaptive, opens: Opens) -> int:
    """The frequency from now on; the same when nothing is to change."""
    if not opens.complete:
        return bounds.bounded(every)
    rate = opens.opened / opens.sent
    if rate <= THIN_OUT_AT:
        return bounds.bounded(every * 2)
    if rate >= COME_BACK_AT:
        return bounds.bounded(every // 2)
    return bounds.bounded(every)
