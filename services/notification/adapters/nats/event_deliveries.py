"""Tells ingestion to whom public events went."""

from services.chassis.grpc.timestamps import timestamp
from services.chassis.nats import NatsConnection
from services.chassis.nats.answers import Answers
from services.chassis.nats.topology import EVENT_DELIVERIES_SUBJECT
from services.chassis.origins import Origin
from services.notification.application.ports.webhooks import EventDelivery, SubscriptionStore
from services.notification.domain.notification import Status
from tocsin.calls.v1.alert_history_pb2 import ListEventDeliveriesRequest, ListEventDeliveriesResponse

_EVENTS, _DELIVERIES = 100, 1000
_STATES = {
    Status.PENDING: ListEventDeliveriesResponse.OPEN,
    Status.SENT: ListEventDeliveriesResponse.DONE,
    Status.FAILED: ListEventDeliveriesResponse.FAILED,
}


def event_delivery_answers(connection: NatsConnection, store: SubscriptionStore) -> Answers:
    """Answers while they are started."""

    async def answer(data: bytes) -> bytes:
        wanted = list(ListEventDeliveriesRequest.FromString(data).event_ids)[:_EVENTS]
        found = await store.deliveries(wanted, _DELIVERIES)
        return ListEventDeliveriesResponse(deliveries=map(_delivery, found)).SerializeToString()

    return Answers(connection, EVENT_DELIVERIES_SUBJECT, "notification/event_deliveries", answer)


def _delivery(found: EventDelivery) -> ListEventDeliveriesResponse.Delivery:
    return ListEventDeliveriesResponse.Delivery(
        event_id=found.event,
        subscription=found.subscription,
        # The rest of the URL may be a secret between the subscriber and us.
        origin=str(Origin.of(found.url)),
        state=_STATES[found.status],
        attempts=found.attempts,
        time=timestamp(found.at),
        message=found.message,
    )
