"""`CountingValues` over NATS: a question to whichever replica of aggregation answers first."""

from collections.abc import Sequence
from datetime import timedelta

import nats.errors
from google.protobuf.message import DecodeError

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import COUNTING_VALUES_SUBJECT
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.recent_readings import CountingValue
from services.ingestion.domain.series import SeriesKey
from tocsin.calls.v1.counting_values_pb2 import CountingValuesRequest, CountingValuesResponse, ReadingTime

MOST = 1000
"""Readings of one question."""


class NatsCountingValues:
    """Asks for `patience` at the most, and not at all for a while after nobody has answered."""

    def __init__(self, connection: NatsConnection, patience: timedelta = timedelta(milliseconds=250)) -> None:
        self._connection = connection
        self._patience = patience
        self._breaker = CircuitBreaker(StreamUnavailable, StreamUnavailable, hold_off=timedelta(seconds=2))

    async def stored(self, readings: Sequence[tuple[SeriesKey, int]]) -> Sequence[CountingValue] | None:
        """See `CountingValues`."""
        found: list[CountingValue] = []
        try:
            for first in range(0, len(readings), MOST):
                async with self._breaker.attempt():
                    found += await self._ask(readings[first : first + MOST])
        except StreamUnavailable:
            return None
        return found

    async def _ask(self, readings: Sequence[tuple[SeriesKey, int]]) -> list[CountingValue]:
        asked = CountingValuesRequest(
            readings=[
                ReadingTime(
                    building=key.building,
                    room=key.room,
                    sensor_type=key.sensor_type,
                    device=key.device,
                    event_time_us=time,
                )
                for key, time in readings
            ]
        )
        subject = self._connection.names.subject(COUNTING_VALUES_SUBJECT)
        try:
            answer = await self._connection.nc.request(
                subject, asked.SerializeToString(), timeout=self._patience.total_seconds()
            )
            values = CountingValuesResponse.FromString(answer.data).values
        except (nats.errors.Error, TimeoutError, OSError, DecodeError) as error:
            raise StreamUnavailable("nobody says which values count") from error
        if len(values) != len(readings):
            raise StreamUnavailable("the answer is of other values")
        return [CountingValue(one.stored, one.value if one.HasField("value") else None, one.amended) for one in values]
