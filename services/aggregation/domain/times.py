"""Times and lengths of time: microseconds, times since the Unix epoch; `NEVER` stands for none."""

from typing import Final

NEVER: Final = -(2**63)


NO_END: Final = 2**62
"""Later than every reading."""


SECOND: Final = 1_000_000


MINUTE: Final = 60 * SECOND


HOUR: Final = 60 * MINUTE


DAY: Final = 24 * HOUR
