"""Answers ingestion, which asks what counts of readings that have come again with other values."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from services.aggregation.domain.late.conflicts import StoredReading
from services.aggregation.domain.series import SeriesKey
from services.chassis.errors import DomainError
from services.chassis.handler_stage import stage_of
from services.chassis.nats import NatsConnection
from services.chassis.nats.topology import COUNTING_VALUES_SUBJECT
from tocsin.calls.v1.counting_values_pb2 import CountingValue, CountingValuesRequest, CountingValuesResponse

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

QUEUE = "aggregation"
"""One of the replicas answers."""
_WAITING = 1000
"""Questions at the most; whoever asks gives up soon anyway."""

Reading = tuple[SeriesKey, int]
Find = Callable[[Sequence[Reading]], Awaitable[Mapping[Reading, StoredReading]]]


class CountingValueAnswers:
    """Answers while it is started; one question after another."""

    def __init__(self, connection: NatsConnection, find: Find) -> None:
        self._connection = connection
        self._find = find
        self._subscription: Subscription | None = None
        self._stage = stage_of("aggregation/counting_values")

    async def start(self) -> None:
        """It outlives reconnects."""
        subject = self._connection.names.subject(COUNTING_VALUES_SUBJECT)
        self._subscription = await self._connection.nc.subscribe(
            subject, queue=QUEUE, cb=self._answer, pending_msgs_limit=_WAITING
        )

    async def stop(self) -> None:
        """Leaves the questions to others."""
        subscription, self._subscription = self._subscription, None
        if subscription is None or self._connection.nc.is_closed:
            return
        try:
            await subscription.unsubscribe()
        except nats.errors.Error as error:
            log.debug("aggregation.answers_unsubscribe_failed", error=repr(error))

    async def _answer(self, message: Msg) -> None:
        try:
            await self._stage.run(1, self._find_and_tell(message))
        except (DecodeError, DomainError, nats.errors.Error) as error:
            # Whoever asks hears nothing, and says nothing then.
            log.warning("aggregation.counting_values_unanswered", error=repr(error))

    async def _find_and_tell(self, message: Msg) -> None:
        asked = CountingValuesRequest.FromString(message.data).readings
        keys = [(SeriesKey(one.building, one.room, one.sensor_type, one.device), one.event_time_us) for one in asked]
        found = await self._find(keys) if keys else {}
        answer = CountingValuesResponse(values=[_told(found.get(key)) for key in keys])
        await message.respond(answer.SerializeToString())


def _told(found: StoredReading | None) -> CountingValue:
    if found is None:
        return CountingValue(stored=False)
    value = None if found.reading.voided else found.reading.value
    return CountingValue(stored=True, value=value, amended=found.amended)
