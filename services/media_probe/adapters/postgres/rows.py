"""Between videos and their rows."""

import json
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from services.media_probe.domain.failure import Failure
from services.media_probe.domain.video import Attempt, Effort, Facts, State, Video

_TABLE: Final = {
    "uid": "text",
    "store": "text",
    "reported_at": "double precision",
    "video": "text",
    "event_id": "text",
    "state": "text",
    "attempts": "integer",
    "width": "integer",
    "height": "integer",
    "coded_width": "integer",
    "coded_height": "integer",
    "rotation": "integer",
    "codec": "text",
    "container": "text",
    "duration": "interval",
    "frame_rate": "double precision",
    "failure": "text",
    "message": "text",
    "bytes_fetched": "bigint",
    "requests": "integer",
    "probe_duration": "interval",
    "version": "bigint",
    "result_event": "text",
}
COLUMNS: Final = tuple(_TABLE)
TYPES: Final = tuple(_TABLE.values())


def values(row: Video) -> tuple[Any, ...]:
    """The values of `COLUMNS`, in their order."""
    facts = row.facts
    learnt: tuple[Any, ...] = (None,) * 9
    if facts is not None:
        learnt = (
            facts.width,
            facts.height,
            facts.coded_width,
            facts.coded_height,
            facts.rotation,
            facts.codec,
            facts.container,
            facts.duration,
            facts.frame_rate,
        )
    return (
        row.uid,
        row.store,
        row.timestamp,
        row.video,
        row.event_id,
        row.state.value,
        row.attempts,
        *learnt,
        row.failure.value if row.failure else None,
        row.message,
        row.effort.bytes_fetched,
        row.effort.requests,
        row.effort.took,
        row.version,
        row.result_event,
    )


def video(record: asyncpg.Record) -> Video:
    """The video of a row with `COLUMNS` and `update_time`."""
    facts = None
    if record["width"] is not None:
        facts = Facts(
            width=record["width"],
            height=record["height"],
            coded_width=record["coded_width"],
            coded_height=record["coded_height"],
            rotation=record["rotation"],
            codec=record["codec"],
            container=record["container"],
            duration=record["duration"],
            frame_rate=record["frame_rate"],
        )
    took: timedelta = record["probe_duration"]
    return Video(
        uid=record["uid"],
        store=record["store"],
        timestamp=record["reported_at"],
        video=record["video"],
        state=State(record["state"]),
        attempts=record["attempts"],
        effort=Effort(record["bytes_fetched"], record["requests"], took),
        facts=facts,
        failure=Failure(record["failure"]) if record["failure"] else None,
        message=record["message"],
        event_id=record["event_id"],
        update_time=record["update_time"],
        version=record["version"],
        result_event=record["result_event"],
    )


def earlier(text: str) -> tuple[Attempt, ...]:
    """The attempts before the last one, from the column `earlier`."""
    return tuple(
        Attempt(
            number,
            Failure(failure) if failure else None,
            message,
            datetime.fromisoformat(ended),
            timedelta(seconds=seconds),
            event,
        )
        for number, failure, message, ended, seconds, event in json.loads(text)
    )
