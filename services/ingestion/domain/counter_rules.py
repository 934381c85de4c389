"""What a decreasing or an implausible value of a counter means; aggregation acts on it."""

import enum
import math
from dataclasses import dataclass

from services.chassis.errors import FieldViolation

_MOST_ROUNDING = 0.1
"""Of the level: a greater fall is none."""


class CounterPolicy(enum.IntEnum):
    """For values below the level of a counter; the numbers are those of the contract."""

    HOLD_THEN_RESET = 1
    RESET = 2
    ROLLOVER = 3
    REJECT = 4


@dataclass(frozen=True, slots=True)
class CounterRules:
    """`register_size`: how many values a ROLLOVER counter has; `max_increase_per_hour`: the greatest possible increase
    in the canonical unit, None: any; `rounding_ratio`, `rounding_amount`: the greatest fall that is rounding, as a part
    of the level and in the canonical unit, None: as the contract says."""

    policy: CounterPolicy = CounterPolicy.HOLD_THEN_RESET
    register_size: float | None = None
    max_increase_per_hour: float | None = None
    rounding_ratio: float | None = None
    rounding_amount: float | None = None

    def violations(self, field: str) -> list[FieldViolation]:
        """The broken rules; `field` is what the rules are called in the entry."""
        broken: list[FieldViolation] = []
        size, name = self.register_size, f"{field}.registerSize"
        if self.policy == CounterPolicy.ROLLOVER and size is None:
            broken.append(FieldViolation(name, "is required for ROLLOVER", "REQUIRED"))
        if self.policy != CounterPolicy.ROLLOVER and size is not None:
            broken.append(FieldViolation(name, "is for ROLLOVER only", "ROLLOVER_ONLY"))
        ratio, amount = self.rounding_ratio, self.rounding_amount
        positive = (
            (size, name),
            (self.max_increase_per_hour, f"{field}.maxIncreasePerHour"),
            (ratio, f"{field}.roundingRatio"),
            (amount, f"{field}.roundingAmount"),
        )
        for value, path in positive:
            if value is not None and not (math.isfinite(value) and value > 0):
                broken.append(FieldViolation(path, "must be above 0 and finite", "DOUBLE_GT"))
        if ratio is not None and ratio > _MOST_ROUNDING:
            broken.append(
                FieldViolation(f"{field}.roundingRatio", f"must not be above {_MOST_ROUNDING:g}", "DOUBLE_LTE")
            )
        return broken


def for_counters_only(field: str) -> FieldViolation:
    """The rules belong to a type that is no counter."""
    return FieldViolation(field, "is for sensor types of kind COUNTER only", "COUNTER_ONLY")
