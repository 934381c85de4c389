"""Answers ingestion, which asks what counts of readings that have come again with other values."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from services.aggregation.domain.late.conflicts import StoredReading
from services.aggregation.domain.series import SeriesKey
from services.chassis.nats import NatsConnection
from services.chassis.nats.answers import Answers
from services.chassis.nats.topology import COUNTING_VALUES_SUBJECT
from tocsin.calls.v1.counting_values_pb2 import CountingValue, CountingValuesRequest, CountingValuesResponse

Reading = tuple[SeriesKey, int]
Find = Callable[[Sequence[Reading]], Awaitable[Mapping[Reading, StoredReading]]]


def counting_value_answers(connection: NatsConnection, find: Find) -> Answers:
    """Answers while they are started."""

    async def answer(data: bytes) -> bytes:
        asked = CountingValuesRequest.FromString(data).readings
        keys = [(SeriesKey(one.building, one.room, one.sensor_type, one.device), one.event_time_us) for one in asked]
        found = await find(keys) if keys else {}
        return CountingValuesResponse(values=[_told(found.get(key)) for key in keys]).SerializeToString()

    return Answers(connection, COUNTING_VALUES_SUBJECT, "aggregation/counting_values", answer)


def _told(found: StoredReading | None) -> CountingValue:
    if found is None:
        return CountingValue(stored=False)
    value = None if found.reading.voided else found.reading.value
    return CountingValue(stored=True, value=value, amended=found.amended)
