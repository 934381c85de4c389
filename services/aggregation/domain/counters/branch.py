"""A level of a counter beside the trusted one, which is to show whether it is real."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.times import DAY, NEVER

AGREE: Final = 2
"""Increases by which a branch that was not believed at once has shown that it counts."""
SURE: Final = 12
"""Increases in a day after which a branch is trusted."""
PATIENCE: Final = 31 * DAY
"""What nothing has contradicted for so long is trusted, whether it counts or not."""
FEW: Final = 6
"""Readings without which no time makes a branch trusted: of a meter that is read once a month three say little."""

BRANCH: Final = np.dtype(
    [
        ("start_time", "<i8"),
        ("start", "<f8"),
        ("time", "<i8"),
        ("level", "<f8"),
        ("counted", "<f8"),
        ("rises", "<i8"),
        ("pace", "<f8"),
        ("gain", "<f8"),
        ("kind", "<i8"),
        ("believed", "<i8"),
        ("count", "<i8"),
    ]
)
"""A branch as it is remembered between readings; `start_time` NEVER: there is none."""

STEP, BURST = "", "BURST"
KINDS: Final = (STEP, "RESET", "ROLLOVER", "JUMP", BURST)
"""What the beginning of a branch is listed as when it is believed. A step, and a burst (which was held before it was
believed), are not: they are taken at their word."""
COUNTED: Final = (STEP, BURST, "ROLLOVER")
"""Of these the step to the branch is consumption."""
JUMPED: Final = ("JUMP", BURST)
"""Of these only time shows that they are real: they count as easily as they have begun."""


def uncontradicted(lasted: int, readings: int) -> bool:
    """Whether another level has stood for so long that it is believed, also where it does not count."""
    return lasted >= PATIENCE and readings >= FEW


def look_back(max_gap: int) -> int:
    """How far back, at the most, the last anchor of a counter lies that sends within `max_gap`: an earlier level and a
    branch last. (Only what is rejected, or does not come at all, leaves no anchor for longer.)"""
    return 2 * max(PATIENCE + DAY, (FEW + 1) * max_gap)


def long_enough(lasted: int, readings: int, rises: int, far_enough: bool) -> bool:
    """Whether another level is the trusted one from now on."""
    if uncontradicted(lasted, readings):
        return True
    return rises >= AGREE and (far_enough or (lasted >= DAY and rises >= SURE))


class Taken(NamedTuple):
    """A reading of a branch: its place in the columns, and what is read there."""

    place: int
    time: int
    value: float


@dataclass(slots=True)
class Branch:
    """`gain`: what its first reading adds when it is believed; `counted`: what the others have; `count`: its readings.
    `readings`: those of these columns; `carried`: there were some before."""

    start_time: int
    start: float
    time: int
    level: float
    gain: float = 0.0
    kind: str = STEP
    believed: bool = False
    counted: float = 0.0
    rises: int = 0
    pace: float = 0.0
    count: int = 1
    carried: bool = False
    readings: list[Taken] = field(default_factory=list[Taken])
    before: tuple[int, float] = (NEVER, 0.0)
    """Its last reading and level before these columns."""

    def add(self, reading: Taken, level: float) -> None:
        """The next reading, and the level after it."""
        self.readings.append(reading)
        self.count += 1
        self.time, self.level = reading.time, level

    def trusted_after(self, level: float, time: int) -> bool:
        """Whether the branch has counted away far enough, or for long enough, from the trusted `level`."""
        distance = self.gain if self.kind in COUNTED else abs(self.start - level)
        far_enough = self.kind not in JUMPED and self.counted >= distance
        return long_enough(time - self.start_time, self.count, self.rises, far_enough)


def read_branch(meter: Rows) -> Branch | None:
    """What is remembered in a row of `METER`."""
    start_time, start, time, level, counted, rises, pace, gain, kind, believed, count = meter["branch"].item()
    if start_time == NEVER:
        return None
    return Branch(
        start_time,
        start,
        time,
        level,
        gain,
        KINDS[kind],
        bool(believed),
        counted,
        rises,
        pace,
        count,
        carried=True,
        before=(time, level),
    )


def write_branch(meter: Rows, branch: Branch | None) -> None:
    """Remembers it in a row of `METER`. (Nothing of one that is no more stays: rows are compared.)"""
    if branch is None:
        meter["branch"] = (NEVER, 0.0, NEVER, 0.0, 0.0, 0, 0.0, 0.0, 0, 0, 0)
        return
    meter["branch"] = (
        branch.start_time,
        branch.start,
        branch.time,
        branch.level,
        branch.counted,
        branch.rises,
        branch.pace,
        branch.gain,
        KINDS.index(branch.kind),
        int(branch.believed),
        branch.count,
    )
