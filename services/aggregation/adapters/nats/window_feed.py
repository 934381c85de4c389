"""The feed of live streams: every closed window as it is published, by whichever replica."""

from collections.abc import Callable
from dataclasses import dataclass

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.aggregation.application.queries.live_watch import ClosedWindow
from services.chassis.errors import Unavailable
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

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection
        self._subscription: Subscription | None = None

    async def start(self, publish: Callable[[ClosedWindow], None]) -> None:
        """See `Feed`. Raises Unavailable."""

        async def on_message(message: Msg) -> None:
            found = _window(message)
            if found is not None:
                publish(found)

        await self.stop()  # one that was not started to its end
        try:
            subject = self._connection.names.subject(SUBJECT)
            self._subscription = await self._connection.nc.subscribe(subject, cb=on_message)
            # What the server sends after this has gone through the subscription.
            await self._connection.nc.flush()
        except (nats.errors.Error, TimeoutError) as error:
            await self.stop()
            raise Unavailable("the message broker cannot be reached") from error

    async def stop(self) -> None:
        """See `Feed`."""
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._connection.nc.is_closed:
            return
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as error:
            # It ends with the connection.
            log.debug("aggregation.feed_unsubscribe_failed", error=repr(error))


def _window(message: Msg) -> FeedWindow | None:
    try:
        event = WindowClosed.FromString(message.data)
    except DecodeError:
        log.warning("aggregation.feed_malformed", subject=message.subject)
        return None
    return FeedWindow(event.building, event.room, event.sensor_type, event.step.ToMicroseconds(), event)
