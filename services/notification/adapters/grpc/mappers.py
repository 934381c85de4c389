"""Messages to commands, and values to messages."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.grpc.timestamps import HasFields, time_of, timestamp
from services.notification.application.ports.notifications import AbandonedFilter, NotificationFilter
from services.notification.domain.dead_letter import DeadLetter, LetterFilter, LetterState, ReasonClass
from services.notification.domain.delivery import Endpoint, UnknownOutcome
from services.notification.domain.invoice import Invoice, InvoiceFilter, InvoiceState
from services.notification.domain.notification import Attempt, ChannelName, Draft, Notification, Planned, Status, Type
from services.notification.domain.receipt import Receipt, ReceiptKind
from services.notification.domain.statistics import Period
from services.notification.domain.webhook import OVERLAP, Subscription
from tocsin.notification.v1 import (
    dead_letter_service_pb2,
    delivery_receipt_service_pb2,
    endpoint_service_pb2,
    invoice_service_pb2,
    notification_service_pb2,
    webhook_service_pb2,
)

pb = notification_service_pb2
_ALWAYS = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def draft(request: pb.SendNotificationRequest) -> Draft:
    """Raises InvalidArgument for `data` that is no JSON, and DataTooLarge."""
    return Draft(
        tenant=request.tenant,
        user=request.user,
        type=Type(pb.NotificationType.Name(request.type)),
        title=request.title,
        body=request.body,
        data=json_text(request.data) if request.HasField("data") else "",
        link=request.link,
        channel=_channel(request.channel),
        idempotency_key=request.idempotency_key,
    )


def receipt(request: delivery_receipt_service_pb2.ApplyDeliveryReceiptRequest) -> Receipt:
    """Raises InvalidArgument for a time that there is not."""
    occurred_at = time_of(request, "occur_time")
    assert occurred_at is not None, "required by the contract"
    return Receipt(
        id=request.receipt,
        tenant=request.tenant,
        notification=request.notification,
        kind=ReceiptKind(delivery_receipt_service_pb2.ApplyDeliveryReceiptRequest.Kind.Name(request.kind)),
        channel=ChannelName(pb.Channel.Name(request.channel)),
        occurred_at=occurred_at,
        address=request.address,
        detail=request.detail,
        expected=request.expected_version,
    )


def _channel(value: int) -> ChannelName | None:
    return ChannelName(pb.Channel.Name(cast(Any, value))) if value else None


def period(request: HasFields) -> Period:
    """From `from` to `to`; all there is where they are absent. Raises PeriodInvalid and InvalidArgument."""
    return Period(time_of(request, "from") or _ALWAYS[0], time_of(request, "to") or _ALWAYS[1])


def notification_filter(request: pb.ListNotificationsRequest) -> NotificationFilter:
    """Raises PeriodInvalid and InvalidArgument."""
    period(request)
    return NotificationFilter(
        tenant=request.tenant,
        user=request.user,
        status=status(request.status),
        unread=request.unread,
        since=time_of(request, "from"),
        until=time_of(request, "to"),
        basic=request.view == pb.NotificationView.BASIC,
    )


def abandoned_filter(request: pb.RetryNotificationsRequest) -> AbandonedFilter:
    """Raises PeriodInvalid and InvalidArgument."""
    period(request)
    return AbandonedFilter(
        tenant=request.tenant,
        user=request.user,
        type=Type(pb.NotificationType.Name(request.type)) if request.type else None,
        channel=_channel(request.channel),
        since=time_of(request, "from"),
        until=time_of(request, "to"),
    )


def json_text(data: Struct, field: str = "data") -> str:
    """The object as JSON text. Raises InvalidArgument for what is no JSON."""
    try:
        # Sorted, so that the same content always has the same fingerprint.
        content = json_format.MessageToDict(data)
        return json.dumps(content, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (json_format.Error, ValueError) as error:
        raise InvalidArgument(
            violations=[FieldViolation(field, "must be representable as JSON (no NaN, no infinity)", "NOT_JSON")],
            reason="INVALID_FIELD",
        ) from error


def notification(value: Notification) -> pb.Notification:
    """A notification."""
    message = pb.Notification(
        id=value.id,
        tenant=value.tenant,
        user=value.user,
        type=value.type.value,
        title=value.title,
        body=value.body,
        status=value.status.value,
        channel=value.channel.value,
        attempts=value.attempts,
        error=value.error,
        next_attempt_time=timestamp(value.next_attempt_at),
        create_time=timestamp(value.created_at),
        send_time=timestamp(value.sent_at),
        read_time=timestamp(value.read_at),
        open_time=timestamp(value.opened_at),
        delivery_time=timestamp(value.delivered_at),
        version=value.version,
        link=value.link,
        address=value.address,
        history=[_attempt(one) for one in value.history],
        plan=[_planned(one) for one in value.planned],
    )
    if value.data:
        message.data.update(cast(dict[str, Any], json.loads(value.data)))
    return message


def _planned(value: Planned) -> pb.PlannedDelivery:
    message = pb.PlannedDelivery(channel=value.channel.value, address=value.address)
    if value.after is not None:
        message.after.FromTimedelta(value.after)
    return message


def _attempt(value: Attempt) -> pb.DeliveryAttempt:
    return pb.DeliveryAttempt(
        time=timestamp(value.at),
        channel=value.channel.value if value.channel else None,
        address=value.address,
        sent=not value.code,
        code=value.code,
        message=value.message,
        repeat=value.repeat,
    )


def status(value: int) -> Status | None:
    """None for unspecified."""
    return Status(pb.Notification.Status.Name(cast(Any, value))) if value else None


def endpoint(
    value: Endpoint, tenant: str, user: str, updated_at: datetime, *, secret: bool
) -> endpoint_service_pb2.Endpoint:
    """An address; its secret only when it is asked for, tokens shortened."""
    return endpoint_service_pb2.Endpoint(
        id=value.id,
        tenant=tenant,
        user=user,
        channel=value.channel.value,
        address=value.shown,
        secret=value.secret if secret else "",
        update_time=timestamp(updated_at),
        version=value.version,
        previous_secret_expire_time=timestamp(value.former_secret_until),
    )


def subscription(value: Subscription, *, secret: bool = False) -> webhook_service_pb2.WebhookSubscription:
    """A subscription; its secret only when it is asked for."""
    return webhook_service_pb2.WebhookSubscription(
        id=value.id,
        url=value.url,
        event_types=value.event_types,
        secret=value.secret if secret else "",
        enabled=value.enabled,
        disabled_reason=value.disabled_reason,
        create_time=timestamp(value.created_at),
        previous_secret_expire_time=timestamp(value.former_secret_until),
        unknown_outcome=value.unknown_outcome.name if value.unknown_outcome else None,
        version=value.version,
    )


def overlap(
    request: webhook_service_pb2.RotateWebhookSecretRequest | endpoint_service_pb2.RotateEndpointSecretRequest,
) -> timedelta:
    """For how long the secret before signs, too."""
    return request.overlap.ToTimedelta() if request.HasField("overlap") else OVERLAP


def unknown_outcome(value: int) -> UnknownOutcome | None:
    """None for unspecified."""
    return UnknownOutcome[webhook_service_pb2.UnknownOutcome.Name(cast(Any, value))] if value else None


def invoice(value: Invoice) -> invoice_service_pb2.Invoice:
    """An invoice."""
    return invoice_service_pb2.Invoice(
        debt=value.debt.id,
        state=value.state.value,
        email=value.debt.email,
        amount=value.debt.amount,
        due_date=value.debt.due_date,
        debt_file=value.debt.debt_file,
        attempts=value.attempts,
        error=value.error,
        create_time=timestamp(value.created_at),
        mail_time=timestamp(value.mailed_at),
        next_attempt_time=timestamp(value.next_attempt_at),
        doubtful=value.doubtful,
        issuer=value.debt.issuer,
    )


def invoice_state(value: int) -> InvoiceState | None:
    """None for unspecified."""
    return InvoiceState(invoice_service_pb2.Invoice.State.Name(cast(Any, value))) if value else None


def invoice_filter(value: invoice_service_pb2.InvoiceFilter) -> InvoiceFilter:
    """Which invoices are to be tried again. Raises PeriodInvalid."""
    period(value)
    return InvoiceFilter(
        state=invoice_state(value.state) or InvoiceState.FAILED,
        debt_file=value.debt_file,
        code=value.code,
        since=time_of(value, "from"),
        until=time_of(value, "to"),
    )


def dead_letter(value: DeadLetter, payload_json: str = "") -> dead_letter_service_pb2.DeadLetter:
    """A dead letter."""
    return dead_letter_service_pb2.DeadLetter(
        id=str(value.number),
        service=value.service,
        consumer=value.consumer,
        subject=value.subject,
        type=value.type,
        reason=value.reason,
        attempts=value.attempts,
        history=[f"{item.at.isoformat()} {_told(item.error_type, item.reason)}" for item in value.history],
        first_seen_time=timestamp(value.first_seen),
        dead_time=timestamp(value.dead_at),
        payload_json=payload_json,
        reason_class=value.reason_class.value,
        state=value.state.value,
        tenant=value.tenant,
        last_try_time=timestamp(value.last_try_at),
        close_time=timestamp(value.closed_at),
        closed_by=value.closed_by,
    )


def letter_filter(
    request: dead_letter_service_pb2.ListDeadLettersRequest | dead_letter_service_pb2.DeadLetterFilter,
    state: LetterState = LetterState.OPEN,
) -> LetterFilter:
    """Raises PeriodInvalid and InvalidArgument."""
    period(request)
    names = dead_letter_service_pb2.DeadLetter.ReasonClass
    return LetterFilter(
        state=state,
        service=request.service,
        reason_class=ReasonClass(names.Name(request.reason_class)) if request.reason_class else None,
        tenant=request.tenant,
        since=time_of(request, "from"),
        until=time_of(request, "to"),
    )


def _told(error_type: str, reason: str) -> str:
    """The reasons of deliveries begin with their code, those of exceptions do not."""
    return reason if reason.startswith(f"{error_type}: ") else f"{error_type}: {reason}"
