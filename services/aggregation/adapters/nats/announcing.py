"""Closed windows as events."""

from services.aggregation.adapters.nats.wire import to_datetime
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
    end = announcement.start + announcement.step
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
    message.step.FromMicroseconds(announcement.step)
    message.start.FromMicroseconds(announcement.start)
    message.end.FromMicroseconds(end)
    message.longest_gap.FromMicroseconds(found.longest_gap)
    return Event(
        window_closed_subject(key.building, key.room, key.sensor_type),
        message,
        id="-".join(str(part) for part in identity),
        time=to_datetime(end),
    )
