"""What a decreasing or an implausible value of a counter means: the rules of the catalogue, and their columns."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.times import HOUR

ROUNDING: Final = 1e-9
"""Of the larger value: a step that is above the cap by no more is no finding, but arithmetic."""
LAST_DIGIT: Final = 1e-3
"""Of the level: a fall by no more is rounding, where nothing else is said."""


class Policy(IntEnum):
    """For values below the level; the numbers are those of the contract."""

    HOLD_THEN_RESET = 1
    RESET = 2
    ROLLOVER = 3
    REJECT = 4


COUNTING: Final = np.dtype(
    [
        ("policy", "<i8"),
        ("register", "<f8"),
        ("cap", "<f8"),
        ("cautious", "<i8"),
        ("rounding_ratio", "<f8"),
        ("rounding_amount", "<f8"),
    ]
)
"""`CounterRules` in columns, by series."""


class CounterRules(NamedTuple):
    """Rules of one counter. `register`: how many values a ROLLOVER counter has before it starts anew; `cap`: the
    greatest possible increase per hour (0: any); `cautious`: the device is known to send decreasing values now and
    then, so that none is believed at once; `rounding_ratio`, `rounding_amount`: the greatest fall that is rounding, as
    a part of the level (0: `LAST_DIGIT`, or any where there is an amount) and by itself (0: what the counter counts in
    an hour)."""

    policy: Policy = Policy.HOLD_THEN_RESET
    register: float = 0.0
    cap: float = 0.0
    cautious: bool = False
    rounding_ratio: float = 0.0
    rounding_amount: float = 0.0

    def fits(self, since: int, level: float, time: int, value: float) -> bool:
        """Whether the step upwards from (since, level) is not above the cap."""
        return not self.cap or value - level <= self._allowance(since, level, time, value)

    def _allowance(self, since: int, level: float, time: int, value: float) -> float:
        return self.cap * (time - since) / HOUR + ROUNDING * max(abs(level), abs(value))

    def rounds(self, level: float, value: float, pace: float) -> bool:
        """Whether a fall from the level to the value is rounding, and not worth a doubt: small beside the level, and by
        itself. `pace`: the most that the counter counts in an hour (0: unknown)."""
        fall, most = level - value, self.rounding_amount or pace
        ratio = self.rounding_ratio or (0.0 if self.rounding_amount else LAST_DIGIT)
        return (not ratio or fall <= ratio * abs(level)) and (not most or fall <= most)

    def over_the_end(self, since: int, level: float, time: int, value: float) -> float | None:
        """The increase when the register ran over between the two; None where that is not possible. Registers may be
        signed: then they go on from their lowest value."""
        if self.policy != Policy.ROLLOVER or not max(abs(level), abs(value)) <= self.register:
            return None
        step = self.register - level + value
        if not 0 <= step < self.register:
            return None
        if self.cap:
            return step if step <= self._allowance(since, level, time, value) else None
        return step if step < self.register / 2 else None

    def restarted(self, since: int, level: float, time: int, value: float) -> float | None:
        """What RESET books for a lower value that it believes at once; None when it does not."""
        if self.policy != Policy.RESET or self.cautious or value < 0:
            return None
        return value if not self.cap or value <= self._allowance(since, level, time, value) else None


DEFAULT_RULES: Final = CounterRules()


def counting(rules: Sequence[CounterRules]) -> Rows:
    """The rules in columns."""
    return np.array([tuple(one) for one in rules], COUNTING)


def rules_of(row: Rows) -> CounterRules:
    """One row of the columns."""
    policy, register, cap, cautious, ratio, amount = row.item()
    return CounterRules(Policy(policy), register, cap, bool(cautious), ratio, amount)
