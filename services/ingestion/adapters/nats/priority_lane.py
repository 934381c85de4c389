"""`PriorityLane` on JetStream: what bulk traffic must not delay."""

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.nats.envelope import Event, encode
from services.chassis.nats.topology import EMPTIED_SUBJECT
from services.ingestion.adapters.nats.broker import Broker
from services.ingestion.adapters.nats.series_descriptor import descriptor
from services.ingestion.application.ports import Emptied
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading import to_datetime
from tocsin.events.v1 import readings_pb2


class JetStreamPriorityLane:
    """Publishes emptied containers (a `PriorityLane`)."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._breaker = CircuitBreaker(StreamUnavailable, StreamUnavailable)

    async def publish(self, emptied: Emptied) -> None:
        """Returns once it is durable. Raises StreamUnavailable."""
        message = readings_pb2.ContainerEmptied(series=descriptor(emptied.series), forced=emptied.forced)
        message.event_time.FromDatetime(to_datetime(emptied.event_time_us))
        key = f"emptied-{emptied.series.key.device}-{emptied.event_time_us}"
        async with self._breaker.attempt():
            await self._broker.publish(encode(Event(EMPTIED_SUBJECT, message, id=key), source=self._broker.source))
