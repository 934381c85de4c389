"""Requests to send something, judged one by one: a bad one harms no other."""

from collections.abc import Iterator

from services.chassis.errors import DomainError, InvalidArgument
from services.chassis.grpc import validation
from services.notification.adapters.grpc import mappers
from services.notification.domain.notification import Draft
from tocsin.notification.v1 import notification_service_pb2 as pb


def judged_items(request: pb.SendBulkNotificationsRequest) -> Iterator[Draft | DomainError]:
    """The draft of each item, or why it is none. Items without a key of their own get theirs from the request's."""
    for place, item in enumerate(request.notifications):
        if request.idempotency_key and not item.idempotency_key:
            item.idempotency_key = f"{request.idempotency_key}/{place}"
        yield judged(item)


def judged(item: pb.SendNotificationRequest) -> Draft | DomainError:
    """The draft, or why it is none."""
    if found := validation.violations(item):
        return InvalidArgument(violations=found, reason="INVALID_FIELD")
    try:
        return mappers.draft(item)
    except DomainError as error:
        return error
