"""What has happened to an alert, as its witnesses tell it."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime


class Happened(enum.IntEnum):
    """Kinds; the numbers are those of the contract."""

    ACCEPTED = 1
    ATTEMPT_FAILED = 2
    PROBED = 3
    FAILED = 4
    TELLING = 5
    TOLD = 6
    NOT_TOLD = 7


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that has happened. `attempt`: of the probe, or how many of the webhook there were."""

    kind: Happened
    time: datetime
    attempt: int = 0
    reason: str = ""
    message: str = ""
    subscription: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """An attempt at the video; `event` is the id of the public event that told the result."""

    entry: Entry
    event: str


@dataclass(frozen=True, slots=True)
class AlertHistory:
    """`missing`: the services that did not answer, and whose entries are missing."""

    entries: Sequence[Entry]
    missing: Sequence[str] = ()


def in_order(*entries: Iterable[Entry]) -> list[Entry]:
    """The oldest first. Clocks of hosts differ: of one time, what leads to something comes before it."""
    return sorted((entry for some in entries for entry in some), key=lambda entry: (entry.time, entry.kind))
