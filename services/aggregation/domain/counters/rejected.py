"""A run of readings that the policy REJECT ignores, one after another."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.times import NEVER

REJECTED: Final = np.dtype([("time", "<i8"), ("value", "<f8"), ("level", "<f8"), ("readings", "<i8")])
"""As it is remembered between readings; `time` NEVER: the last reading was not rejected."""


@dataclass(slots=True)
class Rejected:
    """The first of them, the last accepted value before it, and how many there are."""

    time: int
    value: float
    level: float
    readings: int = 0


def read_rejected(meter: Rows) -> Rejected | None:
    """What is remembered in a row of `METER`."""
    found = Rejected(*meter["rejected"].item())
    return None if found.time == NEVER else found


def write_rejected(meter: Rows, run: Rejected | None) -> None:
    """Remembers it in a row of `METER`."""
    meter["rejected"] = (NEVER, 0.0, 0.0, 0) if run is None else (run.time, run.value, run.level, run.readings)
