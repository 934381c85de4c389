"""The lanes on which readings leave: batches per partition, and the priority lane."""

import asyncio
import time
from datetime import timedelta
from functools import lru_cache
from typing import Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.envelope import Encoded, Event, Follows, encode
from services.chassis.nats.publisher import Published, Publisher
from services.chassis.nats.topology import EMPTIED_SUBJECT, readings_subject
from services.chassis.telemetry.logs import get_logger
from services.ingestion.adapters.nats import wire
from services.ingestion.adapters.nats.circuit_breaker import CircuitBreaker
from services.ingestion.adapters.nats.describing import descriptor
from services.ingestion.application import metrics
from services.ingestion.application.ports import Emptied
from services.ingestion.domain.columns import Piece
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading import to_datetime
from services.ingestion.domain.series import Series
from tocsin.events.v1 import readings_pb2

_BATCH: Final = readings_pb2.ReadingBatch
_SERIES, _INDEX, _TIME, _VALUE, _FLAGS = (
    _BATCH.DESCRIPTOR.fields_by_name[name].number
    for name in ("series", "series_index", "event_time_us", "value", "flags")
)
_POLL = 0.02
log = get_logger(__name__)


@lru_cache(maxsize=262_144)
def _entry(series: Series) -> bytes:
    return wire.delimited(_SERIES, descriptor(series).SerializeToString())


def encode_batch(batch: Piece, accept_time_ns: int) -> bytes:
    """The batch as a serialized `tocsin.events.v1.ReadingBatch`."""
    seconds, nanos = divmod(accept_time_ns, 1_000_000_000)
    head = _BATCH(partition=batch.partition, accept_time=Timestamp(seconds=seconds, nanos=nanos))
    # Serialized messages of one type merge by standing one after the other.
    parts = [head.SerializeToString(), *map(_entry, batch.series)]
    parts.append(wire.packed_uint32(_INDEX, batch.index))
    parts.append(wire.packed_sfixed64(_TIME, batch.event_time_us))
    parts.append(wire.packed_doubles(_VALUE, batch.value))
    if batch.flags is not None:
        parts.append(wire.packed_uint32(_FLAGS, batch.flags))
    return b"".join(parts)


class Broker:
    """Publishes for the lanes, and answers soon when there is nobody to publish to.

    What is sent without a connection would wait in the client, and might be stored after the caller was told that it
    was not; so it is held back here until a connection stands. Callers wait for that until the broker has been away
    for `patience`; those that come later are refused at once.
    """

    def __init__(self, connection: NatsConnection, publisher: Publisher, *, patience: timedelta) -> None:
        self._connection = connection
        self._publisher = publisher
        self._patience = patience.total_seconds()
        self._away_since: float | None = None
        self.source = publisher.source

    async def publish(self, message: Encoded) -> Published:
        """Returns once the message is durable. Raises StreamUnavailable."""
        await self._connected()
        try:
            return await self._publisher.publish_encoded(message)
        except Unavailable as error:
            raise StreamUnavailable(error.message) from error

    async def _connected(self) -> None:
        while not self._connection.healthy:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if now - self._away_since >= self._patience:
                raise StreamUnavailable("the message broker is away")
            await asyncio.sleep(_POLL)
        self._away_since = None


class JetStreamReadings:
    """Publishes batches of readings (a `ReadingLane`).

    Each says which message of this process came before it in its partition (see `Follows`), so that whoever reads them
    notices when the broker has lost one that it had acknowledged.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._breaker = CircuitBreaker()
        self._name = uuid4().hex[:12]
        self._last: dict[int, int] = {}

    async def publish(self, batch: Piece, message_id: str) -> None:
        """Returns once the batch is durable. Raises StreamUnavailable."""
        template = Event(readings_subject(batch.partition), _BATCH(), id=message_id)
        headers = dict(encode(template, source=self._broker.source).headers)
        headers |= Follows(self._name, self._last.get(batch.partition, 0)).header()
        async with self._breaker.attempt():
            published = await self._broker.publish(
                Encoded(template.subject, encode_batch(batch, time.time_ns()), headers)
            )
        if not published.duplicate:  # one that is may be another process's message
            self._remember(batch.partition, published.sequence)

    def _remember(self, partition: int, sequence: int) -> None:
        before = self._last.get(partition, 0)
        if sequence <= before:
            # Whoever reads them is told by the next message, unless that gets lost as well.
            metrics.WENT_BACK.inc()
            log.error("readings.stream_went_back", partition=partition, acknowledged=before, now=sequence)
        self._last[partition] = sequence


class JetStreamPriority:
    """Publishes emptied containers (a `PriorityLane`)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._breaker = CircuitBreaker()

    async def publish(self, emptied: Emptied) -> None:
        """Returns once it is durable. Raises StreamUnavailable."""
        message = readings_pb2.ContainerEmptied(series=descriptor(emptied.series), forced=emptied.forced)
        message.event_time.FromDatetime(to_datetime(emptied.event_time_us))
        key = f"emptied-{emptied.series.key.device}-{emptied.event_time_us}"
        async with self._breaker.attempt():
            await self._broker.publish(encode(Event(EMPTIED_SUBJECT, message, id=key), source=self._broker.source))
