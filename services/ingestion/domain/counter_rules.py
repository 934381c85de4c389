"""What a decreasing or an implausible value of a counter means; aggregation acts on it."""

import enum
import math
from dataclasses import dataclass

from services.chassis.errors import FieldViolation


class CounterPolicy(enum.IntEnum):
    """For values below the level of a counter; the numbers are those of the contract."""

    HOLD_THEN_RESET = 1
    RESET = 2
    ROLLOVER = 3
    REJECT = 4


@dataclass(frozen=True, slots=True)
class CounterRules:
    """`register_size`: where a ROLLOVER counter starts anew at 0; `max_increase_per_hour`: the greatest possible
    increase in the canonical unit, None: any."""

    policy: CounterPolicy = CounterPolicy.HOLD_THEN_RESET
    register_size: float | None = None
    max_increase_per_hour: float | None = None

    def violations(self, field: str) -> list[FieldViolation]:
        """The broken rules; `field` is what the rules are called in the entry."""
        broken: list[FieldViolation] = []
        size, name = self.register_size, f"{field}.registerSize"
        if self.policy == CounterPolicy.ROLLOVER and size is None:
            broken.append(FieldViolation(name, "is required for ROLLOVER", "REQUIRED"))
        if self.policy != CounterPolicy.ROLLOVER and size is not None:
            broken.append(FieldViolation(name, "is for ROLLOVER only", "ROLLOVER_ONLY"))
        for value, path in ((size, name), (self.max_increase_per_hour, f"{field}.maxIncreasePerHour")):
            if value is not None and not (math.isfinite(value) and value > 0):
                broken.append(FieldViolation(path, "must be above 0 and finite", "DOUBLE_GT"))
        return broken


def for_counters_only(field: str) -> FieldViolation:
    """The rules belong to a type that is no counter."""
    return FieldViolation(field, "is for sensor types of kind COUNTER only", "COUNTER_ONLY")
