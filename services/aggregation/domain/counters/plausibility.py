"""Which increases of a counter are usual: learned from the series itself.

The *pace* of a counter is the greatest rate at which it has been seen to count, per hour and as the next power of two;
0 while it has not counted yet. It only grows, so it follows from the readings before, however they came in batches. A
step that is steeper than the pace is *unusual*: it is believed, but what comes next may show it to be false. A step
that is far steeper and large beside the register itself is *implausible*.
"""

import math
from typing import Final

from services.aggregation.domain.times import HOUR, MINUTE

STEEP: Final = 32.0
"""Times the pace: from there on a step is implausible that more than doubles the level."""
FAR: Final = 1024.0
"""Times the pace: from there on a step is implausible that is `LARGE`."""
LARGE: Final = 0.1
"""Of the level: a step that is not greater is never implausible. (A burst moves a register by little, another
register is somewhere else.)"""
NOTABLE: Final = 0.01
"""Of the level: a smaller step is not worth a doubt, however steep."""
ALIKE: Final = 2.0
"""Times the pace: the step from a first 0 is consumption up to there."""
SHORTEST: Final = MINUTE
"""The least time that a rate is told of: pulses may be milliseconds apart."""


def pace_of(amount: float, elapsed: int) -> float:
    """The smallest power of two that is not below this rate."""
    if amount <= 0:
        return 0.0
    rate = amount * HOUR / max(elapsed, SHORTEST)
    if not math.isfinite(rate):
        return math.inf
    fraction, exponent = math.frexp(rate)
    return math.inf if exponent > 1023 else math.ldexp(1.0, exponent - (fraction == 0.5))


def within(pace: float, amount: float, elapsed: int) -> bool:
    """Whether the increase is not steeper than the pace."""
    return amount <= 0 or amount * HOUR <= pace * max(elapsed, SHORTEST)


def implausible(pace: float, level: float, amount: float, elapsed: int) -> bool:
    """Whether the increase is far too steep for the (known) pace, and large."""
    if amount <= LARGE * abs(level):
        return False
    return not within((STEEP if amount > abs(level) else FAR) * pace, amount, elapsed)


def doubtful(pace: float, level: float, amount: float, elapsed: int) -> bool:
    """Whether an increase that is believed may as well be another meter: steep for the (known) pace, and not small."""
    return bool(pace) and amount > NOTABLE * abs(level) and not within(STEEP * pace, amount, elapsed)
