"""`ReadingLane` on JetStream: the messages of one partition, decoded, in the order of the stream."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import nats.errors
import structlog

from services.aggregation.adapters.nats.reading_batch import (
    FUTURE,
    NOTHING,
    Columns,
    Malformed,
    parse_batch,
    parse_descriptor,
)
from services.aggregation.application.partition.reading_lane import Message
from services.aggregation.domain.partition.continuity import Follows, Stream
from services.aggregation.domain.series import Descriptor
from services.chassis.errors import Unavailable
from services.chassis.nats import (
    BatchOptions,
    BatchReader,
    ConsumerLost,
    Delivery,
    NatsConnection,
    Publisher,
    envelope,
    open_batch_reader,
)
from services.chassis.nats.broker_checks import last_write
from services.chassis.nats.topology import EDGE, READINGS, readings_subject

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class LaneOptions:
    """`max_messages`: how many may be in hand, one fetch at a time taking half of them."""

    max_messages: int = 48
    max_wait: timedelta = timedelta(seconds=5)
    ack_wait: timedelta = timedelta(seconds=30)


UNSEEN: Final = timedelta(seconds=5)
"""Who has accepted nothing for so long, not even to see whether it could, takes nothing."""
GONE: Final = timedelta(days=1)
"""An edge of which nothing was seen for so long is not down, but there is none any more: a mesh may lose its edge for
good, and silence must not go unnoticed for ever."""


class JetStreamLane:
    """Made by `open_lane`."""

    def __init__(self, connection: NatsConnection, reader: BatchReader, options: LaneOptions) -> None:
        self._connection = connection
        self._reader = reader
        self._options = options
        self._checked: set[bytes] = set()

    async def fetch(self) -> Sequence[Message]:
        """See `ReadingLane`. What makes no sense goes to the dead letters. Raises Unavailable."""
        messages: list[Message] = []
        try:
            deliveries = await self._reader.fetch(self._options.max_messages // 2, self._options.max_wait)
        except ConsumerLost as error:
            # Whether the partition is still ours is for the lease to say, when it is opened again.
            raise Unavailable("another replica has taken the partition's consumer over") from error
        for delivery in deliveries:
            try:
                messages.append(self._decode(delivery))
            except (Malformed, ValueError) as error:
                messages.append(await self._put_aside(delivery, error))
        return messages

    async def put_aside(self, message: Message, error: Exception) -> Message:
        """See `ReadingLane`."""
        return await self._put_aside(message.handle, error)

    async def _put_aside(self, delivery: Delivery, error: Exception) -> Message:
        log.error("aggregation.batch_put_aside", sequence=delivery.sequence, reason=str(error))
        await self._reader.dead_letter(delivery, reason=str(error), error_type=type(error).__name__)
        # It was there, and what comes after it is no gap.
        return self._message(delivery, NOTHING)

    def _decode(self, delivery: Delivery) -> Message:
        columns = parse_batch(delivery.data)
        if len(columns.time) and int(columns.time.max()) > time.time_ns() // 1000 + FUTURE:
            # It would make everything that follows late.
            raise Malformed("an event time is in the future")
        for raw in columns.descriptors:
            if raw not in self._checked:
                parse_descriptor(raw)
                self._checked.add(raw)
        if len(self._checked) > 1_000_000:
            self._checked.clear()
        return self._message(delivery, columns)

    @staticmethod
    def _message(delivery: Delivery, columns: Columns) -> Message:
        follows = envelope.Follows.read(delivery.headers)
        return Message(
            delivery.sequence,
            delivery.published_at.timestamp(),
            columns.descriptors,
            columns.index,
            columns.time,
            columns.value,
            delivery,
            columns.cautious,
            columns.changed,
            columns.moved,
            columns.sensor_types,
            None if follows is None else Follows(*follows),
        )

    async def done(self, messages: Sequence[Message]) -> None:
        """See `ReadingLane`."""
        await self._reader.ack([message.handle for message in messages])

    def describe(self, descriptor: bytes) -> Descriptor:
        """See `ReadingLane`."""
        return parse_descriptor(descriptor)

    async def drained(self) -> bool | None:
        """See `ReadingLane`."""
        try:
            return await self._reader.drained()
        except Unavailable as error:
            log.info("aggregation.lane_unknown", error=repr(error))
            return None

    async def accepting(self) -> bool | None:
        """See `ReadingLane`."""
        try:
            ingestion, edge = await asyncio.gather(
                last_write(self._connection, "ingestion"), last_write(self._connection, EDGE)
            )
        except Unavailable as error:
            log.info("aggregation.lane_unknown", error=repr(error))
            return None
        now = datetime.now(UTC)
        taking = ingestion is None or now - ingestion < UNSEEN
        return taking and (edge is None or not UNSEEN <= now - edge < GONE)


@asynccontextmanager
async def open_lane(
    connection: NatsConnection, publisher: Publisher, partition: int, options: LaneOptions
) -> AsyncGenerator[JetStreamLane]:
    """Takes the partition's consumer over. Raises Unavailable."""
    batch = BatchOptions(
        service="aggregation",
        name=f"readings_{partition}",
        stream=READINGS,
        subject=readings_subject(partition),
        max_unsettled=options.max_messages,
        ack_wait=options.ack_wait,
    )
    async with open_batch_reader(connection, batch, publisher=publisher) as reader:
        yield JetStreamLane(connection, reader, options)


async def stream_of_readings(connection: NatsConnection) -> Stream:
    """The stream as it is now. Raises Unavailable."""
    try:
        info = await connection.js.stream_info(connection.names.stream(READINGS))
    except (nats.errors.Error, OSError) as error:
        raise Unavailable("the message broker cannot be reached") from error
    if info.created is None:
        raise Unavailable("the message broker does not tell when the stream was made")
    return Stream(info.created.isoformat(), info.state.last_seq)
