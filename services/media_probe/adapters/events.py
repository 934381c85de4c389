"""Between the rows of the service and the events of the contract."""

import math
import re
from typing import Final

from google.protobuf.duration_pb2 import Duration

from services.chassis.ids import is_id
from services.chassis.nats import Event, Permanent
from services.chassis.nats.topology import (
    ALERT_REPORTED_SUBJECT,
    VIDEO_FAILED_SUBJECT,
    VIDEO_PROBED_SUBJECT,
    VIDEO_STARTED_SUBJECT,
)
from services.media_probe.domain.video import Alert, State, Video
from tocsin.events.v1 import alerts_pb2, videos_pb2

SOURCE: Final = "tocsin/media-probe"
_VIDEO: Final = re.compile(r"[\x21-\x7e]{1,2048}", re.ASCII)


def alert_of(message: alerts_pb2.VideoAlertReported, *, event_id: str, delivery: str) -> Alert:
    """The alert of an event. Raises Permanent for one that breaks the contract: no result could be recorded for it."""
    problems = (
        ("uid", is_id(message.uid)),
        ("store", is_id(message.store)),
        ("video", _VIDEO.fullmatch(message.video) is not None),
        ("timestamp", math.isfinite(message.timestamp)),
    )
    for field, sound in problems:
        if not sound:
            raise Permanent(f"malformed alert: {field}")
    return Alert(event_id, message.uid, message.video, message.timestamp, message.store, delivery)


def started(alert: Alert, attempt: int, version: int) -> Event:
    """VideoProbeStarted; the same attempt told twice is one event."""
    message = videos_pb2.VideoProbeStarted(uid=alert.uid, attempt=attempt, version=version)
    return Event(VIDEO_STARTED_SUBJECT, message, id=f"{alert.event_id}:started:{attempt}:{alert.delivery}")


def finished(row: Video) -> Event | None:
    """VideoProbed or VideoProbeFailed for a final row, in the order of the alert's changes."""
    if row.state is State.PROBED and row.facts is not None:
        facts = row.facts
        probed = videos_pb2.VideoProbed(
            uid=row.uid,
            video=row.video,
            store=row.store,
            timestamp=row.timestamp,
            width=facts.width,
            height=facts.height,
            codec=facts.codec,
            container=facts.container,
            frame_rate=facts.frame_rate,
            bytes_fetched=row.effort.bytes_fetched,
            version=row.version,
        )
        if facts.duration is not None:
            duration = Duration()
            duration.FromTimedelta(facts.duration)
            probed.duration.CopyFrom(duration)
        return Event(VIDEO_PROBED_SUBJECT, probed, id=row.result_event, key=row.uid)
    if row.state is State.FAILED and row.failure is not None:
        failed = videos_pb2.VideoProbeFailed(
            uid=row.uid,
            video=row.video,
            store=row.store,
            timestamp=row.timestamp,
            failure=row.failure.value,
            message=row.message,
            attempts=row.attempts,
            version=row.version,
        )
        return Event(VIDEO_FAILED_SUBJECT, failed, id=row.result_event, key=row.uid)
    return None


def to_be_probed_again(row: Video, event_id: str) -> Event:
    """VideoProbeStarted for a video that was given up: its alert waits again."""
    message = videos_pb2.VideoProbeStarted(uid=row.uid, attempt=0, version=row.version)
    return Event(VIDEO_STARTED_SUBJECT, message, id=f"{event_id}:asked", key=row.uid)


def reported_again(row: Video, event_id: str) -> Event:
    """VideoAlertReported for another probe of the same alert."""
    message = alerts_pb2.VideoAlertReported(uid=row.uid, video=row.video, timestamp=row.timestamp, store=row.store)
    return Event(ALERT_REPORTED_SUBJECT, message, id=event_id, key=row.uid)
