"""What a value may be, whoever says it: the unit that it comes in and the limits that it keeps."""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.units import IDENTITY, Conversion, conversion, known_units


class UnitUnknown(InvalidArgument):
    """The unit cannot be converted to the sensor type's."""

    reason = "UNIT_UNKNOWN"

    def __init__(self, unit: str, canonical: str) -> None:
        rule = f"cannot be converted to {canonical}; use one of {', '.join(known_units(canonical))}"
        super().__init__(
            violations=[FieldViolation("unit", rule, self.reason)],
            metadata={"unit": unit, "canonicalUnit": canonical},
        )


class ValueOutOfRange(InvalidArgument):
    """The value is outside the physical limits of its sensor type, or above the end of its register."""

    reason = "VALUE_OUT_OF_RANGE"

    def __init__(self, value: float, limits: "ValueLimits") -> None:
        text, bounds = _bounds(limits)
        super().__init__(
            violations=[FieldViolation("value", f"must be {text}, is {value:.15g} {limits.unit}", self.reason)],
            metadata={"value": f"{value:.15g}", **bounds},
        )


class ValueLimits(NamedTuple):
    """Minimum and maximum of a series that are possible, in its canonical `unit`; None: any. `register`: the maximum is
    where the register of a counter ends."""

    unit: str
    minimum: float | None = None
    maximum: float | None = None
    register: bool = False

    @staticmethod
    def of(unit: str, minimum: float | None, maximum: float | None, register_size: float | None) -> "ValueLimits":
        """`register_size` of a counter that has one: it cannot show more."""
        if register_size is None or (maximum is not None and maximum < register_size):
            return ValueLimits(unit, minimum, maximum)
        return ValueLimits(unit, minimum, register_size, register=True)

    def conversion(self, unit: str) -> Conversion:
        """From `unit`; empty means canonical already. Raises UnitUnknown."""
        if not unit or unit == self.unit:
            return IDENTITY
        if (found := conversion(unit, self.unit)) is None:
            raise UnitUnknown(unit, self.unit)
        return found

    def canonical(self, value: float, unit: str = "") -> float:
        """The value in the canonical unit. Raises UnitUnknown and ValueOutOfRange."""
        scale, offset = self.conversion(unit)
        canonical = value * scale + offset
        if (
            not math.isfinite(canonical)
            or (self.minimum is not None and canonical < self.minimum)
            or (self.maximum is not None and canonical > self.maximum)
        ):
            raise ValueOutOfRange(canonical, self)
        return canonical


@lru_cache(maxsize=1024)
def _bounds(limits: ValueLimits) -> tuple[str, Mapping[str, str]]:
    """For people, and for programs. Refusals come in storms, of values of few kinds."""
    unit, minimum, maximum, register = limits
    texts, metadata = list[str](), {"unit": unit}
    if minimum is not None:
        texts.append(f"not below {minimum:.15g} {unit}")
        metadata["min"] = f"{minimum:.15g}"
    if maximum is not None:
        texts.append(f"not above {maximum:.15g} {unit}" + (" (registerSize)" if register else ""))
        metadata["max"] = f"{maximum:.15g}"
    return " and ".join(texts) or "finite", metadata
