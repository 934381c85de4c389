"""What is known about the video of an alert, and how it changes."""

import enum
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from services.media_probe.domain.failure import Failure, ProbeFailed

MAX_SIDE = 1 << 16


class State(enum.Enum):
    """State of a probe, by the names of the contract."""

    PROBED = "PROBED"
    FAILED = "FAILED"
    RETRYING = "RETRYING"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a demuxer says about the first video stream: sizes as coded, rotation clockwise as the container wants it,
    `sample_aspect` the width of a pixel over its height."""

    width: int
    height: int
    codec: str
    rotation: float = 0.0
    sample_aspect: Fraction = Fraction(1)
    duration: timedelta | None = None
    frame_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What a probe learnt. `width` and `height` are for display, after sample aspect ratio and rotation (degrees
    clockwise, a multiple of 90)."""

    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    codec: str
    container: str
    duration: timedelta | None
    frame_rate: float


@dataclass(frozen=True, slots=True)
class Effort:
    """What a probe cost."""

    bytes_fetched: int = 0
    requests: int = 0
    took: timedelta = timedelta(0)

    def after(self, earlier: "Effort") -> "Effort":
        """Bytes and requests of both; the time is this one's alone."""
        return replace(
            self, bytes_fetched=self.bytes_fetched + earlier.bytes_fetched, requests=self.requests + earlier.requests
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """A video alert as it arrived; `event_id` names one report of it, `delivery` one entry of the stream."""

    event_id: str
    uid: str
    video: str
    timestamp: float
    store: str
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One probe that was made. `event`: the public event that told the result, empty where another was to follow."""

    number: int
    failure: Failure | None
    message: str
    ended: datetime
    took: timedelta
    event: str = ""


@dataclass(frozen=True, slots=True)
class Video:
    """The result row of an alert; without uid, the answer to a probe on demand. `version` rises with every change,
    `result_event` is the event that told the result, `history` the attempts, the oldest first, where it was asked
    for."""

    uid: str
    store: str
    timestamp: float
    video: str
    state: State
    attempts: int
    effort: Effort = Effort()
    facts: Facts | None = None
    failure: Failure | None = None
    message: str = ""
    event_id: str = ""
    update_time: datetime | None = None
    version: int = 0
    result_event: str = ""
    history: tuple[Attempt, ...] = ()

    def last_attempt(self) -> Attempt | None:
        """The attempt that this row tells of; None while none was made since a retry was asked for."""
        if not self.attempts or self.update_time is None:
            return None
        return Attempt(self.attempts, self.failure, self.message, self.update_time, self.effort.took, self.result_event)

    def settles(self, alert: Alert) -> bool:
        """Whether nothing that comes of this report of the alert is recorded any more: a later one has this row, or it
        has the success of this one."""
        return self.later_than(alert) or (self.state is State.PROBED and self.event_id == alert.event_id)

    def later_than(self, alert: Alert) -> bool:
        """Whether this row is of a report that came after this one: what the old one leads to is of no interest."""
        return self.event_id not in {"", alert.event_id}


@dataclass(frozen=True, slots=True)
class VideoFilter:
    """Which videos a list has: of alerts of one store (empty: all), in one state, and with timestamps (seconds since
    the Unix epoch) from `since` on and before `until`."""

    store: str = ""
    state: State | None = None
    since: float | None = None
    until: float | None = None


def derive(seen: Inspection, container: str, *, tells_duration: bool = True) -> Facts:
    """Display size from the coded one: the width times the sample aspect ratio, as players do; then width and height
    change places for a quarter turn. Raises ProbeFailed(UNSUPPORTED) without a size."""
    if not (0 < seen.width <= MAX_SIDE and 0 < seen.height <= MAX_SIDE):
        raise ProbeFailed(
            Failure.UNSUPPORTED, f"the video stream ({seen.codec or 'unknown codec'}) does not tell its size"
        )
    width, height = seen.width, seen.height
    aspect = seen.sample_aspect
    # Ratios beyond this are damage, not pictures.
    if Fraction(1, 8) <= aspect <= 8 and aspect != 1:
        width = max(1, _round(width * aspect))
    rotation = round(seen.rotation / 90) * 90 % 360 if math.isfinite(seen.rotation) else 0
    if rotation in (90, 270):
        width, height = height, width
    duration = seen.duration if tells_duration and seen.duration is not None and seen.duration > timedelta(0) else None
    frame_rate = seen.frame_rate if 0 < seen.frame_rate <= 1000 else 0.0
    return Facts(
        width=width,
        height=height,
        coded_width=seen.width,
        coded_height=seen.height,
        rotation=rotation,
        codec=seen.codec,
        container=container,
        duration=duration,
        frame_rate=frame_rate,
    )


def probed(alert: Alert, facts: Facts, effort: Effort, earlier: Video | None) -> Video:
    """The row after a probe that succeeded."""
    return replace(_attempt(alert, effort, earlier), state=State.PROBED, facts=facts)


def failed(alert: Alert, error: ProbeFailed, effort: Effort, earlier: Video | None, *, max_attempts: int) -> Video:
    """The row after a probe that failed: RETRYING for a passing reason while attempts are left, else FAILED."""
    row = replace(_attempt(alert, effort, earlier), failure=error.failure, message=error.message)
    again = error.transient and row.attempts < max_attempts
    return replace(row, state=State.RETRYING if again else State.FAILED)


def started_version(earlier: Video | None) -> int:
    """What orders the start of an attempt: behind all that was told before, and before what comes of it."""
    return (earlier.version if earlier is not None else 0) + 1


def next_version(earlier: Video | None) -> int:
    """The version of the row after a change."""
    return (earlier.version if earlier is not None else 0) + 2


def attempts_before(alert: Alert, earlier: Video | None) -> int:
    """How many attempts have been made for this report of the alert."""
    same = earlier is not None and earlier.event_id == alert.event_id and earlier.state is State.RETRYING
    return earlier.attempts if same and earlier is not None else 0


def _attempt(alert: Alert, effort: Effort, earlier: Video | None) -> Video:
    before = attempts_before(alert, earlier)
    return Video(
        uid=alert.uid,
        store=alert.store,
        timestamp=alert.timestamp,
        video=alert.video,
        state=State.RETRYING,
        attempts=before + 1,
        effort=effort.after(earlier.effort) if before and earlier is not None else effort,
        event_id=alert.event_id,
        version=next_version(earlier),
    )


def _round(value: Fraction) -> int:
    # Half up, as players do; Python's round() would go to the even neighbour.
    return int(value + Fraction(1, 2))
