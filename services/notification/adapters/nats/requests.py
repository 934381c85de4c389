"""What trusted publishers ask for: the streams NOTIFICATION_REQUESTS_<tenant>, on the subjects
`tocsin.notification_requests.v1.<tenant>.send`, `.send_bulk` and `.receipt`.

The publisher has been told that its request is durable. What becomes of it is told on the subjects of its tenant: the
changes of the notifications' statuses, of which the first names the idempotency key, and refusals. What is refused is a
dead letter with the reason; of a bulk each refused notification is one by itself, and the others are sent. The id of
the request is the idempotency key of what it asks to be sent: that is sent once, however often the request comes.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from services.chassis.errors import DomainError, FieldViolation, InvalidArgument, Unavailable
from services.chassis.grpc import validation
from services.chassis.ids import derived_id
from services.chassis.nats import (
    ConsumerOptions,
    Delivery,
    Encoded,
    Event,
    Failure,
    Permanent,
    Publisher,
    RetryPolicy,
    compose_dead_letter,
    encode,
)
from services.chassis.nats.topology import (
    notification_request_subject,
    notification_requests_stream,
    request_refused_subject,
)
from services.notification.adapters.grpc import mappers
from services.notification.adapters.grpc.drafts import judged, judged_items
from services.notification.adapters.nats.events import SERVICE, SOURCE
from services.notification.application.receipts import Receipts
from services.notification.application.sending import Sender
from services.notification.domain.errors import ReceiptEarly, TenantForbidden
from tocsin.events.v1.notifications_pb2 import NotificationRequestRefused
from tocsin.notification.v1 import delivery_receipt_service_pb2 as receipt_pb
from tocsin.notification.v1 import notification_service_pb2 as pb

JSON, PROTOBUF = "application/json", "application/protobuf"
MALFORMED = "MALFORMED"
RETRY = RetryPolicy(cap=timedelta(seconds=10))
_SHOWN = 100
"""Characters of what cannot be read that are told."""

M = TypeVar("M", bound=Message)


def consumer_options(tenant: str) -> ConsumerOptions:
    """The consumer of a tenant's requests."""
    stream = notification_requests_stream(tenant)
    return ConsumerOptions(service=SERVICE, name=f"requests_{tenant}", stream=stream, retry=RETRY)


class RequestIntake:
    """The handler of one tenant's consumer."""

    def __init__(self, tenant: str, sender: Sender, receipts: Receipts, publisher: Publisher) -> None:
        self._tenant = tenant
        self._sender = sender
        self._receipts = receipts
        self._publisher = publisher
        self._options = consumer_options(tenant)
        self._handlers: dict[str, Callable[[Delivery], Awaitable[None]]] = {
            "send": self._send,
            "send_bulk": self._send_bulk,
            "receipt": self._receipt,
        }

    async def __call__(self, delivery: Delivery) -> None:
        """Raises Permanent for what is refused, after it has been told; ReceiptEarly, for a while, and Unavailable."""
        verb = delivery.subject.rpartition(".")[2]
        try:
            handle = self._handlers.get(verb)
            if handle is None:
                raise _malformed(f"the subject names no request: {verb[:_SHOWN]}")
            await handle(delivery)
        except Unavailable:
            raise
        except ReceiptEarly as error:
            # The attempt that it is about is being written down; a provider that is so far ahead is not believed.
            if delivery.attempt < RETRY.max_attempts:
                raise
            await self._tell([self._refusal(delivery, error)])
            raise
        except DomainError as error:
            await self._tell([self._refusal(delivery, error)])
            raise Permanent(f"{error.reason}: {error.message}", code=error.reason) from error

    async def _send(self, delivery: Delivery) -> None:
        item = _read(delivery, pb.SendNotificationRequest)
        item.idempotency_key = item.idempotency_key or delivery.id
        self._complete(item)
        [outcome] = await self._sender.send_requested([judged(item)])
        if isinstance(outcome, DomainError):
            raise outcome

    async def _send_bulk(self, delivery: Delivery) -> None:
        request = _read(delivery, pb.SendBulkNotificationsRequest)
        if not 1 <= len(request.notifications) <= MAX_ITEMS:
            raise _invalid("notifications", f"must be 1 to {MAX_ITEMS} of them, are {len(request.notifications)}")
        request.idempotency_key = request.idempotency_key or delivery.id
        refused: dict[int, DomainError] = {}
        for place, item in enumerate(request.notifications):
            try:
                self._complete(item)
            except DomainError as error:
                refused[place] = error
        drafts = [refused.get(place, draft) for place, draft in enumerate(judged_items(request))]
        outcomes = await self._sender.send_requested(drafts)
        refused |= {place: error for place, error in enumerate(outcomes) if isinstance(error, DomainError)}
        await self._set_aside(delivery, request, refused)

    def _complete(self, item: pb.SendNotificationRequest) -> None:
        """Fills in the tenant. Raises TenantForbidden for another one, InvalidArgument for what needs an answer."""
        if item.tenant not in ("", self._tenant):
            raise TenantForbidden(item.tenant)
        item.tenant = self._tenant
        for field in ("wait", "dry_run"):
            if getattr(item, field):
                raise _invalid(pb.SendNotificationRequest.DESCRIPTOR.fields_by_name[field].json_name, "needs an answer")

    async def _receipt(self, delivery: Delivery) -> None:
        request = _read(delivery, receipt_pb.ApplyDeliveryReceiptRequest)
        if request.tenant not in ("", self._tenant):
            raise TenantForbidden(request.tenant)
        request.tenant = self._tenant
        request.receipt = request.receipt or delivery.id
        if found := validation.violations(request):
            raise InvalidArgument(violations=found, reason="INVALID_FIELD")
        await self._receipts.apply_requested(mappers.receipt(request))

    async def _set_aside(
        self, delivery: Delivery, request: pb.SendBulkNotificationsRequest, refused: dict[int, DomainError]
    ) -> None:
        """Tells what was refused of a bulk, and makes each a dead letter that can be retried by itself."""
        if not refused:
            return
        await self._tell([self._refusal(delivery, error, place) for place, error in sorted(refused.items())])
        letters = [self._letter(delivery, request.notifications[place], place, refused[place]) for place in refused]
        for letter in letters:
            await self._publisher.publish_encoded(letter)

    def _letter(self, delivery: Delivery, item: pb.SendNotificationRequest, place: int, error: DomainError) -> Encoded:
        event = Event(
            notification_request_subject(self._tenant, "send"),
            item,
            id=f"{delivery.id}/{place}",
            time=delivery.published_at,
        )
        failure = Failure(at=datetime.now(UTC), error_type=error.reason, reason=f"{error.reason}: {error.message}")
        return compose_dead_letter(
            encode(event, source=SOURCE),
            service=SERVICE,
            consumer=self._options.name,
            history=[failure],
            attempts=delivery.attempt,
            first_seen=delivery.published_at,
            identity=f"{delivery.place}/{place}",
        )

    def _refusal(self, delivery: Delivery, error: DomainError, index: int | None = None) -> Event:
        refused = NotificationRequestRefused(
            tenant=self._tenant,
            request=delivery.id,
            subject=delivery.subject,
            index=index,
            reason=error.reason,
            field=error.violations[0].field if error.violations else "",
            message=error.message,
            metadata=error.metadata,
        )
        # The same refusal told twice is one event; ids of publishers' own may be those of others, too.
        id_ = derived_id(delivery.published_at, f"{delivery.place}/{'' if index is None else index}")
        return Event(request_refused_subject(self._tenant), refused, id=id_)

    async def _tell(self, refusals: Sequence[Event]) -> None:
        await self._publisher.publish_many(refusals)


MAX_ITEMS = 1000
"""Notifications of a bulk."""


def _read(delivery: Delivery, message_class: type[M]) -> M:
    """The request. Raises InvalidArgument (MALFORMED)."""
    message, name = message_class(), message_class.DESCRIPTOR.name
    form = delivery.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    try:
        match form:
            case "application/json":
                json_format.Parse(delivery.data, message)
            case "application/protobuf":
                message.ParseFromString(delivery.data)
            case _:
                raise _malformed(f"the content-type must be {JSON} or {PROTOBUF}, not {form[:_SHOWN]}")
    except (json_format.ParseError, DecodeError, ValueError, RecursionError) as error:
        raise _malformed(f"no well-formed {name} ({form}): {str(error)[:_SHOWN]}") from error
    return message


def _malformed(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason=MALFORMED)


def _invalid(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(violations=[FieldViolation(field, description, "INVALID_FIELD")], reason="INVALID_FIELD")
