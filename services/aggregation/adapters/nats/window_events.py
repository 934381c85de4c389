"""Closed windows as events: one by one from objects, and many at once from columns, with the same bytes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from services.aggregation.adapters.nats import window_encoding
from services.aggregation.application.partition.announcements import Announcement, Announcements
from services.aggregation.domain.series import Descriptor
from services.aggregation.domain.times import SECOND
from services.chassis.nats import Bundle
from services.chassis.nats.envelope import timestamp
from services.chassis.nats.topology import window_closed_subject
from tocsin.events.v1.windows_pb2 import WindowClosed

TYPE: Final = WindowClosed.DESCRIPTOR.full_name
_MAX_KNOWN = 200_000


def closed_bundle(announcements: Sequence[Announcement]) -> Bundle:
    """The events; their ids say which revision of which window each is, so that a repeat is known as one."""
    return Bundle(
        TYPE,
        [_subject(one.descriptor) for one in announcements],
        [_identity(one.series_id, one.step // SECOND, one.start // SECOND, one.revision) for one in announcements],
        [_time((one.start + one.step) // SECOND) for one in announcements],
        [_message(one).SerializeToString() for one in announcements],
    )


class WindowEncoder:
    """Remembers what all windows of a series begin with."""

    def __init__(self) -> None:
        self._known: dict[tuple[Descriptor, int], tuple[str, bytes]] = {}

    def bundle(self, announcements: Announcements) -> Bundle:
        """As `closed_bundle` has them."""
        step = announcements.statistics.length // SECOND
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        heads = [
            self._known.get((descriptor, step)) or self._learn(descriptor, step)
            for descriptor in announcements.descriptors
        ]
        starts = (announcements.start // SECOND).tolist()
        times = {start: _time(start + step) for start in set(starts)}
        tails = window_encoding.tails(announcements.start, announcements.revision, announcements.statistics)
        return Bundle(
            TYPE,
            [subject for subject, _ in heads],
            [
                _identity(series_id, step, start, revision)
                for series_id, start, revision in zip(
                    announcements.ids.tolist(), starts, announcements.revision.tolist(), strict=True
                )
            ],
            [times[start] for start in starts],
            [head + tail for (_, head), tail in zip(heads, tails, strict=True)],
        )

    def _learn(self, descriptor: Descriptor, step: int) -> tuple[str, bytes]:
        message = _series(descriptor)
        message.step.seconds = step
        found = self._known[descriptor, step] = _subject(descriptor), message.SerializeToString()
        return found


def _subject(descriptor: Descriptor) -> str:
    return window_closed_subject(descriptor.key.building, descriptor.key.room, descriptor.key.sensor_type)


def _identity(series_id: int, step: int, start: int, revision: int) -> str:
    return f"window-{series_id}-{step}-{start}-{revision}"


def _time(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


def _series(descriptor: Descriptor) -> WindowClosed:
    key = descriptor.key
    return WindowClosed(
        building=key.building, room=key.room, sensor_type=key.sensor_type, device=key.device, unit=descriptor.unit
    )


def _message(announcement: Announcement) -> WindowClosed:
    found = announcement.statistics
    step, start = announcement.step // SECOND, announcement.start // SECOND
    message = _series(announcement.descriptor)
    message.MergeFrom(
        WindowClosed(
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
    )
    # Set by hand: From...() checks and normalizes what is in range here.
    message.step.seconds = step
    message.start.seconds = start
    message.end.seconds = start + step
    gap, microseconds = divmod(found.longest_gap, SECOND)
    message.longest_gap.seconds, message.longest_gap.nanos = gap, microseconds * 1000
    return message
