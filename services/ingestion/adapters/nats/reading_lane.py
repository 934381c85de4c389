"""`ReadingLane` on JetStream: readings in batches, a subject for each partition."""

import time
from functools import lru_cache
from typing import Final
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.nats.envelope import Encoded, Event, Follows, encode
from services.chassis.nats.topology import readings_subject
from services.chassis.telemetry.logs import get_logger
from services.ingestion.adapters.nats import packed_fields
from services.ingestion.adapters.nats.broker import Broker
from services.ingestion.adapters.nats.series_descriptor import descriptor
from services.ingestion.application import metrics
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading_columns import Piece
from services.ingestion.domain.series import Series
from tocsin.events.v1 import readings_pb2

_BATCH: Final = readings_pb2.ReadingBatch


_SERIES, _INDEX, _TIME, _VALUE, _FLAGS = (
    _BATCH.DESCRIPTOR.fields_by_name[name].number
    for name in ("series", "series_index", "event_time_us", "value", "flags")
)


log = get_logger(__name__)


@lru_cache(maxsize=262_144)
def _entry(series: Series) -> bytes:
    return packed_fields.delimited(_SERIES, descriptor(series).SerializeToString())


def encode_batch(batch: Piece, accept_time_ns: int) -> bytes:
    """The batch as a serialized `tocsin.events.v1.ReadingBatch`."""
    seconds, nanos = divmod(accept_time_ns, 1_000_000_000)
    head = _BATCH(partition=batch.partition, accept_time=Timestamp(seconds=seconds, nanos=nanos))
    # Serialized messages of one type merge by standing one after the other.
    parts = [head.SerializeToString(), *map(_entry, batch.series)]
    parts.append(packed_fields.packed_uint32(_INDEX, batch.index))
    parts.append(packed_fields.packed_sfixed64(_TIME, batch.event_time_us))
    parts.append(packed_fields.packed_doubles(_VALUE, batch.value))
    if batch.flags is not None:
        parts.append(packed_fields.packed_uint32(_FLAGS, batch.flags))
    return b"".join(parts)


class JetStreamReadingLane:
    """Publishes batches of readings (a `ReadingLane`).

    Each says which message of this process came before it in its partition (see `Follows`), so that whoever reads them
    notices when the broker has lost one that it had acknowledged.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._breaker = CircuitBreaker(StreamUnavailable, StreamUnavailable)
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
