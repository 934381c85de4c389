"""Video alerts: what a video may be, and how an alert's state moves."""

import enum
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from services.chassis.origins import Origin, Targets
from services.ingestion.domain.errors import InvalidField, VideoNotAllowed

_MAX_DECODINGS = 3


class AlertState(enum.IntEnum):
    """Where an alert is; the numbers are those of the contract."""

    ACCEPTED = 1
    PROBING = 2
    PROBED = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Alert:
    """A video alert and its state. `timestamp`: seconds since the Unix epoch."""

    uid: str
    video: str
    timestamp: float
    store: str
    state: AlertState = AlertState.ACCEPTED
    reason: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None

    def same_content(self, other: "Alert") -> bool:
        """Whether `other` reports the same thing, whatever has become of either."""
        return _content(self) == _content(other)


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts a list has: of one store (empty: all), in one state, and with timestamps (seconds since the Unix
    epoch) from `since` on and before `until`."""

    store: str = ""
    state: AlertState | None = None
    since: float | None = None
    until: float | None = None


def _content(alert: Alert) -> tuple[str, str, float, str]:
    return (alert.uid, alert.video, alert.timestamp, alert.store)


@dataclass(frozen=True, slots=True)
class Report:
    """What media-probe tells of the video of an alert. `version` orders what is told of one alert; 0: from before there
    were versions."""

    uid: str
    state: AlertState
    reason: str = ""
    version: int = 0


def moves(state: AlertState, version: int, report: Report) -> bool:
    """Whether an alert in this state, by the report of this version, follows a report: not when it came late."""
    if not report.version:
        return next_state(state, report.state) is not state
    if report.version == version:
        # Two attempts side by side: the one that succeeded counts.
        return state is AlertState.FAILED and report.state is AlertState.PROBED
    return report.version > version


def next_state(current: AlertState, reported: AlertState) -> AlertState:
    """The state after a report without a version, that may come late or twice: a result is never undone by a
    start, nor a success by a failure."""
    if current is AlertState.PROBED or reported is AlertState.ACCEPTED:
        return current
    if current is AlertState.FAILED and reported is AlertState.PROBING:
        return current
    return reported


def check_video(video: str, allowed: Targets) -> None:
    """Accepts a path on the video server, or an http(s) URL whose origin is `allowed`.

    Raises InvalidField for what is neither, VideoNotAllowed for an origin that is not allowed.
    """
    if any(not "!" <= c <= "~" for c in video):
        raise InvalidField("video", "must be printable ASCII without spaces", rule="PRINTABLE")
    if "\\" in video or "#" in video:
        raise InvalidField("video", "must not contain a backslash or a fragment", rule="VIDEO_FORM")
    if video.startswith("/"):
        if video.startswith("//"):
            raise InvalidField("video", "must start with a single slash", rule="VIDEO_FORM")
        path = video
    else:
        try:
            found = Origin.of(video)
        except ValueError:
            rule = "must be a path that starts with /, or an http(s) URL without user information"
            raise InvalidField("video", rule, rule="VIDEO_FORM") from None
        if found not in allowed:
            raise VideoNotAllowed(
                video,
                "must be a path on the video server, or a URL of an allowed origin "
                "(TOCSIN_MEDIA_PROBE_ALLOWED_ORIGINS, TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS)",
            )
        path = urlsplit(video).path
    _check_path(path.split("?", 1)[0])


def _check_path(path: str) -> None:
    for _ in range(_MAX_DECODINGS):
        segments = path.replace("\\", "/").split("/")
        if any(segment in ("..", ".") for segment in segments) or any(c < " " or c == "\x7f" for c in path):
            raise InvalidField(
                "video", "must not contain the path segments . or .., or control characters", rule="VIDEO_PATH"
            )
        decoded = unquote(path)
        if decoded == path:
            return
        path = decoded
    raise InvalidField("video", "must not be encoded more than twice", rule="VIDEO_PATH")
