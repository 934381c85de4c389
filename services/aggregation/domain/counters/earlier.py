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
        ("distance", "<f8"),
        ("rises", "<i8"),
        ("counted", "<f8"),
    ]
)
"""An earlier level as it is remembered between readings; `left` NEVER: there is none."""


@dataclass(slots=True)
class Earlier:
    """`left`: the first reading elsewhere; `distance`: how far away that was; `rises`, `counted`: what has been counted
    since, on all levels. `readings`: those of these columns since then; `carried`: there were some before."""

    time: int
    level: float
    pace: float
    left: int
    distance: float
    rises: int = 0
    counted: float = 0.0
    carried: bool = False
    readings: list[Taken] = field(default_factory=list[Taken])

    @classmethod
    def before(cls, branch: Branch, time: int, level: float, pace: float) -> "Earlier":
        """The trusted level, which is left for the branch."""
        distance = branch.gain if branch.kind in COUNTED else abs(branch.start - level)
        if branch.kind in JUMPED:
            distance = float("inf")
        found = cls(time, level, pace, branch.start_time, distance, carried=branch.carried)
        found.readings = branch.readings.copy()
        return found

    def forgotten_after(self, time: int) -> bool:
        """Whether the counter has counted elsewhere for long enough, or as far as it had gone away."""
        return long_enough(time - self.left, self.rises, self.counted >= self.distance)


def read_earlier(meter: Rows) -> Earlier | None:
    """What is remembered in a row of `METER`."""
    time, level, pace, left, distance, rises, counted = meter["earlier"].item()
    if left == NEVER:
        return None
    return Earlier(time, level, pace, left, distance, rises, counted, carried=True)


def write_earlier(meter: Rows, earlier: Earlier | None) -> None:
    """Remembers it in a row of `METER`."""
    if earlier is None:
        meter["earlier"] = (NEVER, 0.0, 0.0, NEVER, 0.0, 0, 0.0)
        return
    meter["earlier"] = (
        earlier.time,
        earlier.level,
        earlier.pace,
        earlier.left,
        earlier.distance,
        earlier.rises,
        earlier.counted,
    )
