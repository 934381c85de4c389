"""Times and lengths of time: microseconds, times since the Unix epoch; `NEVER` stands for none."""

from typing import Final

NEVER: Final = -(2**63)


SECOND: Final = 1_000_000


MINUTE: Final = 60 * SECOND


HOUR: Final = 60 * MINUTE


DAY: Final = 24 * HOUR
