"""The feed of live streams: every closed window as it is published, by whichever replica."""

from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from services.aggregation.application.watching import Watchers
from services.chassis.nats import NatsConnection
from tocsin.events.v1.windows_pb2 import WindowClosed

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

SUBJECT = "tocsin.windows.v1.closed.>"


@dataclass(frozen=True, slots=True)
class FeedWindow:
    """An event as watchers filter it."""

    building: str
    room: str
    sensor_type: str
    step: int
    message: WindowClosed


class WindowFeed:
    """A plain subscription (the stream keeps the history; a live stream starts now). It outlives reconnects."""

    def __init__(self, connection: NatsConnection, watchers: Watchers) -> None:
        self._connection = connection
        self._watchers = watchers

    async def start(self) -> None:
        """Subscribes; the subscription ends with the connection."""
        await self._connection.nc.subscribe(SUBJECT, cb=self._on_message)

    async def _on_message(self, message: Msg) -> None:
        if not self._watchers.any:
            return
        try:
            event = WindowClosed.FromString(message.data)
        except DecodeError:
            log.warning("aggregation.feed_malformed", subject=message.subject)
            return
        step = event.step.ToMicroseconds()
        self._watchers.publish(FeedWindow(event.building, event.room, event.sensor_type, step, event))
