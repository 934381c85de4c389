"""The lanes on which readings leave: batches per partition, and the priority lane."""

import asyncio
import time
from datetime import timedelta
from functools import lru_cache
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.errors import DomainError, InvalidArgument
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.envelope import Encoded, Event, encode
from services.chassis.nats.publisher import Publisher
from services.chassis.nats.topology import EMPTIED_SUBJECT, readings_subject
from services.ingestion.adapters.nats import wire
from services.ingestion.application.ports import Emptied
from services.ingestion.domain.catalogue import Kind
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
_KINDS: Final = {
    Kind.GAUGE: readings_pb2.SeriesDescriptor.GAUGE,
    Kind.COUNTER: readings_pb2.SeriesDescriptor.COUNTER,
    Kind.LEVEL: readings_pb2.SeriesDescriptor.LEVEL,
}
_POLL = 0.02


def descriptor(series: Series) -> readings_pb2.SeriesDescriptor:
    """The series as events describe it."""
    interval = series.type.expected_interval
    return readings_pb2.SeriesDescriptor(
        building=series.key.building,
        room=series.key.room,
        sensor_type=series.key.sensor_type,
        device=series.key.device,
        kind=_KINDS[series.kind],
        unit=series.type.unit,
        expected_interval_us=0 if interval is None else interval // timedelta(microseconds=1),
    )


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


class JetStreamReadings:
    """Publishes batches of readings (a `ReadingLane`)."""

    def __init__(self, connection: NatsConnection, publisher: Publisher, *, patience: timedelta) -> None:
        self._connection = connection
        self._publisher = publisher
        self._patience = patience

    async def publish(self, batch: Piece, message_id: str) -> None:
        """Returns once the batch is durable. Raises StreamUnavailable."""
        template = Event(readings_subject(batch.partition), _BATCH(), id=message_id)
        headers = encode(template, source=self._publisher.source).headers
        message = Encoded(template.subject, encode_batch(batch, time.time_ns()), headers)
        await publish(self._connection, self._publisher, message, self._patience)


class JetStreamPriority:
    """Publishes emptied containers (a `PriorityLane`)."""

    def __init__(self, connection: NatsConnection, publisher: Publisher, *, patience: timedelta) -> None:
        self._connection = connection
        self._publisher = publisher
        self._patience = patience

    async def publish(self, emptied: Emptied) -> None:
        """Returns once it is durable. Raises StreamUnavailable."""
        message = readings_pb2.ContainerEmptied(series=descriptor(emptied.series), forced=emptied.forced)
        message.event_time.FromDatetime(to_datetime(emptied.event_time_us))
        key = f"emptied-{emptied.series.key.device}-{emptied.event_time_us}"
        encoded = encode(Event(EMPTIED_SUBJECT, message, id=key), source=self._publisher.source)
        await publish(self._connection, self._publisher, encoded, self._patience)


async def publish(connection: NatsConnection, publisher: Publisher, message: Encoded, patience: timedelta) -> None:
    """Publishes once a connection stands: what is sent without one would wait in the client, and might be stored after
    the caller was told that it was not. Raises StreamUnavailable after `patience`."""
    deadline = time.monotonic() + patience.total_seconds()
    while not connection.healthy:
        if time.monotonic() >= deadline:
            raise StreamUnavailable("the message broker is away")
        await asyncio.sleep(_POLL)
    try:
        await publisher.publish_encoded(message)
    except InvalidArgument:
        raise
    except DomainError as error:
        raise StreamUnavailable(error.message) from error
