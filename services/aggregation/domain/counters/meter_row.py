"""What is remembered of a counter between readings, as a row; and what is known of it after a reading that leaves
nothing open."""

from typing import Final, NamedTuple

import numpy as np

from services.aggregation.domain.columns import Rows
from services.aggregation.domain.counters.branch import BRANCH
from services.aggregation.domain.counters.earlier import EARLIER
from services.aggregation.domain.counters.rejected import REJECTED
from services.aggregation.domain.times import NEVER

METER: Final = np.dtype(
    [
        ("level_time", "<i8"),
        ("level", "<f8"),
        ("pace", "<f8"),
        ("open", "<i8"),
        ("branch", BRANCH),
        ("earlier", EARLIER),
        ("rejected", REJECTED),
    ]
)
"""What is remembered of a counter between readings: the trusted level (`level_time` NEVER: none yet), the pace (see
`plausibility`), the branch, the earlier level, the run of rejected readings; `open`: what of these there is."""
UNDECIDED: Final = 1
"""In `open`: a branch, or an earlier level. What comes next may judge readings otherwise."""
REJECTING: Final = 2
"""In `open`: nothing but a run of rejected readings."""


class Anchor(NamedTuple):
    """All that is to be known of a counter after a reading that leaves nothing open (`time` NEVER: nothing is)."""

    time: int = NEVER
    level: float = 0.0
    pace: float = 0.0


NO_ANCHOR: Final = Anchor()


class Accepted(NamedTuple):
    """What an accepted reading added, and since when. `anchor`: what is known after it, unless something is open."""

    amount: float
    since: int
    anchor: Anchor | None = None


def no_meters(length: int) -> Rows:
    """Counters that have not been read yet."""
    rows = np.zeros(length, METER)
    rows["level_time"] = rows["branch"]["start_time"] = rows["branch"]["time"] = NEVER
    rows["earlier"]["time"] = rows["earlier"]["left"] = rows["earlier"]["last_time"] = rows["rejected"]["time"] = NEVER
    return rows


def meter_from(anchor: Anchor) -> Rows:
    """One counter as it is after a reading."""
    meter = no_meters(1)
    meter["level_time"], meter["level"], meter["pace"] = anchor
    return meter
