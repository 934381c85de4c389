"""The trusted level before the present one, where it was left before that was sure: values may go on from it still."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.counters.branch import COUNTED, JUMPED, Branch, Taken, long_enough
from services.aggregation.domain.times import NEVER

EARLIER: Final = np.dtype(
    [
        ("time", "<i8"),
        ("level", "<f8"),
        ("pace", "<f8"),
        ("left", "<i8"),
        ("start", "<f8"),
        ("distance", "<f8"),
        ("rises", "<i8"),
        ("counted", "<f8"),
        ("last_time", "<i8"),
        ("count", "<i8"),
    ]
)
"""An earlier level as it is remembered between readings; `left` NEVER: there is none."""


@dataclass(slots=True)
class Earlier:
    """`left`, `start`: the first reading elsewhere; `distance`: how far away that was; `rises`, `counted`: what has
    been counted since, on all levels; `count`: the readings since, up to `last_time`. `readings`: those of these
    columns; `carried`: there were some before."""

    time: int
    level: float
    pace: float
    left: int
    start: float
    distance: float
    rises: int = 0
    counted: float = 0.0
    last_time: int = NEVER
    count: int = 0
    carried: bool = False
    readings: list[Taken] = field(default_factory=list[Taken])

    @classmethod
    def before(cls, branch: Branch, time: int, level: float, pace: float) -> "Earlier":
        """The trusted level, which is left for the branch."""
        distance = branch.gain if branch.kind in COUNTED else abs(branch.start - level)
        if branch.kind in JUMPED:
            distance = float("inf")
        found = cls(time, level, pace, branch.start_time, branch.start, distance, carried=branch.carried)
        found.readings, found.count, found.last_time = branch.readings.copy(), branch.count, branch.time
        return found

    def add(self, reading: Taken) -> None:
        """The next reading elsewhere."""
        self.readings.append(reading)
        self.count += 1
        self.last_time = reading.time

    def forgotten_after(self, time: int) -> bool:
        """Whether the counter has counted elsewhere for long enough, or as far as it had gone away."""
        return long_enough(time - self.left, self.count, self.rises, self.counted >= self.distance)


def read_earlier(meter: Rows) -> Earlier | None:
    """What is remembered in a row of `METER`."""
    found = Earlier(*meter["earlier"].item(), carried=True)
    return None if found.left == NEVER else found


def write_earlier(meter: Rows, earlier: Earlier | None) -> None:
    """Remembers it in a row of `METER`."""
    if earlier is None:
        meter["earlier"] = (NEVER, 0.0, 0.0, NEVER, 0.0, 0.0, 0, 0.0, NEVER, 0)
        return
    meter["earlier"] = (
        earlier.time,
        earlier.level,
        earlier.pace,
        earlier.left,
        earlier.start,
        earlier.distance,
        earlier.rises,
        earlier.counted,
        earlier.last_time,
        earlier.count,
    )
