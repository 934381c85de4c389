"""`AlertWitnesses` over NATS: requests to whichever replica answers first."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import TypeVar

import nats.errors
from google.protobuf.message import DecodeError, Message

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import EVENT_DELIVERIES_SUBJECT, VIDEO_ATTEMPTS_SUBJECT
from services.ingestion.domain.alert_history import Entry, Happened, Probe
from tocsin.calls.v1 import alert_history_pb2 as pb

_STATES = {
    pb.ListEventDeliveriesResponse.OPEN: Happened.TELLING,
    pb.ListEventDeliveriesResponse.DONE: Happened.TOLD,
    pb.ListEventDeliveriesResponse.FAILED: Happened.NOT_TOLD,
}
M = TypeVar("M", bound=Message)


class NatsAlertWitnesses:
    """Waits `patience` at the most for each answer."""

    def __init__(self, connection: NatsConnection, patience: timedelta = timedelta(seconds=3)) -> None:
        self._connection, self._patience = connection, patience

    async def probes(self, uid: str) -> Sequence[Probe]:
        """See the port."""
        request = pb.ListAttemptsRequest(uid=uid)
        answer = await self._ask(VIDEO_ATTEMPTS_SUBJECT, request, pb.ListAttemptsResponse)
        return [_probe(attempt) for attempt in answer.attempts]

    async def told(self, events: Sequence[str]) -> Sequence[Entry]:
        """See the port."""
        request = pb.ListEventDeliveriesRequest(event_ids=events)
        answer = await self._ask(EVENT_DELIVERIES_SUBJECT, request, pb.ListEventDeliveriesResponse)
        return [
            Entry(
                kind=_STATES[delivery.state],
                time=delivery.time.ToDatetime(UTC),
                attempt=delivery.attempts,
                message=delivery.message,
                subscription=delivery.subscription,
                origin=delivery.origin,
            )
            for delivery in answer.deliveries
            if delivery.state in _STATES
        ]

    async def _ask(self, subject: str, request: Message, kind: type[M]) -> M:
        try:
            answer = await self._connection.nc.request(
                self._connection.names.subject(subject),
                request.SerializeToString(),
                timeout=self._patience.total_seconds(),
            )
            return kind.FromString(answer.data)
        except (nats.errors.Error, TimeoutError, OSError, DecodeError) as error:
            raise Unavailable(f"nobody answers {subject}") from error


def _probe(attempt: pb.ListAttemptsResponse.Attempt) -> Probe:
    kind = Happened.PROBED
    if attempt.failure:
        kind = Happened.FAILED if attempt.event_id else Happened.ATTEMPT_FAILED
    ended = attempt.end_time.ToDatetime(UTC)
    return Probe(Entry(kind, ended, attempt.number, attempt.failure, attempt.message), attempt.event_id)
