"""One delivery of a message to a consumer: what it says, where it came from, and how to settle it."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import nats.errors
import structlog
from google.protobuf.message import DecodeError, Message
from nats.aio.msg import Msg

from services.chassis.mesh_names import MeshNames
from services.chassis.nats.envelope import ID, MESSAGE_ID, TYPE
from services.chassis.nats.retry_policy import Permanent

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MAX_ID = 256
"""Characters of an event's id, at the most: it is a key of the inbox."""

M = TypeVar("M", bound=Message)


class Delivery:
    """A message as a handler sees it, with the names that code has for subject and stream. Handlers read; the consumer
    that called them settles it.

    `current`: whether it can still be settled. An acknowledgement names a place in the stream, and after a new
    connection that may be another message's (a stream that came back shorter); then it is not sent, and the message
    comes again.
    """

    __slots__ = (
        "_current",
        "_message",
        "attempt",
        "data",
        "headers",
        "number",
        "published_at",
        "sequence",
        "settled",
        "stream",
        "subject",
    )

    def __init__(self, message: Msg, names: MeshNames, current: Callable[[], bool] = lambda: True) -> None:
        self._current = current
        metadata = message.metadata
        self._message = message
        self.subject: str = names.plain_subject(message.subject)
        self.data: bytes = message.data
        self.headers: Mapping[str, str] = message.headers or {}
        self.stream: str = names.plain_stream(metadata.stream)
        self.sequence: int = metadata.sequence.stream
        """Place in the stream (grows with each message of the stream, the same for every consumer)."""
        self.number: int = metadata.sequence.consumer
        """Place among the deliveries of the consumer (1, 2, 3 ... since it was made, repeats among them)."""
        self.attempt: int = metadata.num_delivered
        """1 at the first delivery."""
        self.published_at: datetime = metadata.timestamp
        """When the stream stored it (UTC)."""
        self.settled = False

    @property
    def id(self) -> str:
        """Identity of the event (`ce-id`); of the stored message where the publisher gave none that can be kept."""
        given = self.headers.get(ID) or self.headers.get(MESSAGE_ID)
        return given if given and len(given) <= MAX_ID and given.isprintable() else self.place

    @property
    def place(self) -> str:
        """Identity of the stored message: a stream that lost its end gives a number twice, but not with one time."""
        return f"{self.stream}:{self.sequence}:{self.published_at.isoformat()}"

    @property
    def event_type(self) -> str:
        """Full name of the protobuf message, empty where the publisher gave none."""
        return self.headers.get(TYPE, "")

    def decode(self, message_class: type[M]) -> M:
        """The event; raises `Permanent` when it is of another type or not well-formed."""
        expected: str = message_class.DESCRIPTOR.full_name
        if self.event_type and self.event_type != expected:
            raise Permanent(f"expected a {expected}, got a {self.event_type}")
        message = message_class()
        try:
            message.ParseFromString(self.data)
        except DecodeError as error:
            raise Permanent(f"not a well-formed {expected}") from error
        return message

    async def ack(self) -> None:
        """Done: do not deliver it again."""
        await self._settle("ack")

    async def ack_confirmed(self, timeout: timedelta = timedelta(seconds=2)) -> None:
        """Like `ack`, and waits until the server has taken it and every acknowledgement sent before it."""
        if not self._settling():
            return
        try:
            await self._message.ack_sync(timeout=timeout.total_seconds())
        except (nats.errors.Error, TimeoutError) as error:
            log.warning("nats.ack_not_confirmed", subject=self.subject, error=repr(error))

    async def term(self) -> None:
        """Given up: do not deliver it again (it stands in the dead letters)."""
        await self._settle("term")

    async def nak(self, delay: timedelta = timedelta(0)) -> None:
        """Not done: deliver it again after `delay`."""
        await self._settle("nak", delay.total_seconds())

    async def in_progress(self) -> None:
        """Still at it: start the acknowledgement time anew."""
        if not self.settled and self._current():
            try:
                await self._message.in_progress()
            except nats.errors.Error as error:
                log.debug("nats.in_progress_failed", error=repr(error))

    def _settling(self) -> bool:
        """Whether it is to be settled now; once at most."""
        before, self.settled = self.settled, True
        return not before and self._current()

    async def _settle(self, how: str, delay: float = 0.0) -> None:
        if not self._settling():
            return
        try:
            if how == "nak":
                await self._message.nak(delay=delay)
            elif how == "term":
                await self._message.term()
            else:
                await self._message.ack()
        except nats.errors.Error as error:
            # It comes again when its time is over; whoever handles it must be idempotent anyway.
            log.warning("nats.settle_failed", how=how, subject=self.subject, error=repr(error))
