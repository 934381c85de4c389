"""Closed windows as events."""

from datetime import UTC, datetime

from services.aggregation.application.ports import Announcement
from services.aggregation.domain.summary import SECOND
from services.chassis.nats import Event
from services.chassis.nats.topology import window_closed_subject
from tocsin.events.v1.windows_pb2 import WindowClosed


def closed_event(announcement: Announcement) -> Event:
    """The event; its id says which revision of which window it is, so that a repeat is known as one."""
    key, found = announcement.descriptor.key, announcement.statistics
    step, start = announcement.step // SECOND, announcement.start // SECOND
    identity = ("window", announcement.series_id, step, start, announcement.revision)
    message = WindowClosed(
        building=key.building,
        room=key.room,
        sensor_type=key.sensor_type,
        device=key.device,
        unit=announcement.descriptor.unit,
        revision=announcement.revision,
        count=found.count,
        min=found.min,
        max=found.max,
        first=None if found.first is None else found.first[1],
        last=None if found.last is None else found.last[1],
        mean=found.mean,
        time_weighted_mean=found.time_weighted_mean,
        received_ratio=found.received_ratio,
        covered_ratio=found.covered_ratio,
        consumption=found.consumption,
    )
    # Set by hand: From...() checks and normalizes what is in range here.
    message.step.seconds = step
    message.start.seconds = start
    message.end.seconds = start + step
    gap, microseconds = divmod(found.longest_gap, SECOND)
    message.longest_gap.seconds, message.longest_gap.nanos = gap, microseconds * 1000
    return Event(
        window_closed_subject(key.building, key.room, key.sensor_type),
        message,
        id="-".join(str(part) for part in identity),
        time=datetime.fromtimestamp(start + step, UTC),
    )
