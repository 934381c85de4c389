"""Readings of counters that were not taken at their word: what is listed of them, and what people decide."""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Doubt(NamedTuple):
    """Nothing in the values decides: what the step to a reading adds as `booked`, and what it would `otherwise`."""

    booked: float
    otherwise: float


class Correction(NamedTuple):
    """A reading that was not taken at its word, or several in a row (`readings`, up to `last_time`) that were ignored
    or revoked together; `time` and `value` are those of the first one. `kind`: GLITCH, RESET, ROLLOVER, JUMP, REJECTED,
    REVOKED or STEEP, as in the contract; `level`: the last accepted value before it."""

    series: int
    time: int
    value: float
    level: float
    kind: str
    last_time: int
    readings: int = 1
    doubt: Doubt | None = None


class Decision(NamedTuple):
    """What somebody has decided about a reading, whatever its meter makes of it. `kind`: GLITCH (it is ignored, and
    listed), IGNORE (it is ignored), RESET (counting goes on from it, the step to it adds nothing), or VALUE (it counts
    as `value`)."""

    kind: str
    value: float = 0.0


NO_DECISIONS: Final[Mapping[int, Decision]] = {}
