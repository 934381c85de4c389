"""What a decreasing or an implausible value of a counter means: the rules of the catalogue, and their columns."""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.times import HOUR

ROUNDING: Final = 1e-9
"""Of the larger value: a step that is above the cap by no more is no finding, but arithmetic."""


class Policy(IntEnum):
    """For values below the level; the numbers are those of the contract."""

    HOLD_THEN_RESET = 1
    RESET = 2
    ROLLOVER = 3
    REJECT = 4


COUNTING: Final = np.dtype([("policy", "<i8"), ("register", "<f8"), ("cap", "<f8"), ("cautious", "<i8")])
"""`CounterRules` in columns, by series."""


class CounterRules(NamedTuple):
    """Rules of one counter. `register`: the value at which a ROLLOVER counter starts anew; `cap`: the greatest possible
    increase per hour (0: any); `cautious`: the device is known to send decreasing values now and then, so that none is
    believed at once."""

    policy: Policy = Policy.HOLD_THEN_RESET
    register: float = 0.0
    cap: float = 0.0
    cautious: bool = False

    @property
    def believes(self) -> bool:
        """Whether a lower value may be believed at once, and be revoked by the next one."""
        return self.policy in (Policy.RESET, Policy.ROLLOVER) and not self.cautious

    def fits(self, since: int, level: float, time: int, value: float) -> bool:
        """Whether the step upwards from (since, level) is not above the cap."""
        return not self.cap or value - level <= self._allowance(since, level, time, value)

    def _allowance(self, since: int, level: float, time: int, value: float) -> float:
        return self.cap * (time - since) / HOUR + ROUNDING * max(abs(level), abs(value))

    def over_the_end(self, since: int, level: float, time: int, value: float) -> float | None:
        """The increase when the register ran over between the two; None where that is not plausible."""
        if self.policy != Policy.ROLLOVER or not 0 <= value < level <= self.register:
            return None
        step = self.register - level + value
        if self.cap:
            return step if step <= self._allowance(since, level, time, value) else None
        return step if step < self.register / 2 else None

    def believed(self, since: int, level: float, time: int, value: float) -> float | None:
        """The increase when this lower value is believed at once; None when it is not."""
        if not self.believes:
            return None
        if self.policy == Policy.ROLLOVER:
            return self.over_the_end(since, level, time, value)
        if value < 0 or (self.cap and value > self._allowance(since, level, time, value)):
            return None
        return value


DEFAULT_RULES: Final = CounterRules()


def counting(rules: Sequence[CounterRules]) -> Rows:
    """The rules in columns."""
    return np.array([tuple(one) for one in rules], COUNTING)


def rules_of(row: Rows) -> CounterRules:
    """One row of the columns."""
    policy, register, cap, cautious = row.item()
    return CounterRules(Policy(policy), register, cap, bool(cautious))
