"""The events and dead letters that the notification service publishes."""

import json
from collections.abc import Sequence
from datetime import datetime

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.nats import Bundle, Encoded, Event, Failure, compose_dead_letter, encode
from services.chassis.nats.envelope import timestamp
from services.chassis.nats.topology import notification_status_subject
from services.notification.adapters.event_types import new_message
from services.notification.domain.invoice import Debt
from services.notification.domain.notification import Attempt, Notification, error_text
from tocsin.events.v1 import debts_pb2, notifications_pb2

SERVICE = "notification"
SOURCE = "tocsin/notification"
RETRY_SUBJECT = "tocsin.notifications.v1.retry"
"""Where dead letters of this service's own work come back to it."""
RETRY_CONSUMER = "deliveries"
DELIVERY_HEADER = "Tocsin-Delivery"
"""What a dead letter of ours is about: `notification/<tenant>/<id>`, `event/<subscription>/<event id>` or
`invoice/<debt>`."""
INVOICE_LETTERS = f"{SERVICE}/{RETRY_CONSUMER}/invoice/"
"""What dead letters of invoices are about, without the debt, as `DeadLetter.about` has it."""
TENANT_HEADER = "Tocsin-Tenant"
_STATUS_CHANGED = notifications_pb2.NotificationStatusChanged.DESCRIPTOR.full_name


def status_changes(notifications: Sequence[Notification], at: datetime, *, keys: Sequence[str] | None = None) -> Bundle:
    """The changes of the notifications' statuses, in their order; their ids are made of id and version. `keys`: the
    idempotency keys with which they were asked for, where they have just been accepted."""
    when = Timestamp()
    when.FromDatetime(at)
    count, time = len(notifications), timestamp(at)
    return Bundle(
        type=_STATUS_CHANGED,
        subjects=[notification_status_subject(one.tenant) for one in notifications],
        ids=[_status_id(one) for one in notifications],
        times=[time] * count,
        payloads=[
            _status_message(one, when, key).SerializeToString()
            for one, key in zip(notifications, keys or [""] * count, strict=True)
        ],
    )


def _status_id(notification: Notification) -> str:
    return f"{notification.id}-{notification.version}"


def _status_message(notification: Notification, at: Timestamp, key: str) -> notifications_pb2.NotificationStatusChanged:
    return notifications_pb2.NotificationStatusChanged(
        notification=notification.id,
        tenant=notification.tenant,
        user=notification.user,
        status=notification.status,
        version=notification.version,
        channel=notification.channel,
        attempts=notification.attempts,
        error=notification.error,
        change_time=at,
        idempotency_key=key,
    )


def notification_letter(notification: Notification, at: datetime) -> tuple[Encoded, str | None]:
    """The dead letter of a notification that was given up: all that was to be sent, and the attempts in its history."""
    message = notifications_pb2.NotificationAbandoned(
        notification=notification.id,
        tenant=notification.tenant,
        user=notification.user,
        type=notification.type,
        title=notification.title,
        body=notification.body,
        channel=notification.channel,
        attempts=notification.attempts,
        error=notification.error,
        version=notification.version,
    )
    message.accept_time.FromDatetime(notification.created_at)
    if notification.data:
        json_format.Parse(notification.data, message.data)
    original = encode(Event(RETRY_SUBJECT, message, id=_status_id(notification), time=at), source=SOURCE)
    about = f"notification/{notification.tenant}/{notification.id}"
    failures = [attempt for attempt in notification.history if attempt.code]
    return _letter(original, about, failures, notification.created_at, notification.version, notification.tenant)


def event_letter(
    event_type: str, event_id: str, body: str, subscription: str, history: Sequence[Attempt], created_at: datetime
) -> tuple[Encoded, str | None]:
    """The dead letter of an event that a subscriber did not take; `body` is its CloudEvents JSON."""
    message = new_message(event_type)
    json_format.ParseDict(json.loads(body)["data"], message, ignore_unknown_fields=True)
    original = encode(Event(RETRY_SUBJECT, message, id=event_id), source=SOURCE)
    about = f"event/{subscription}/{event_id}"
    return _letter(original, about, history, created_at, history[-1].at.timestamp())


def invoice_letter(debt: Debt, history: Sequence[Attempt], created_at: datetime) -> tuple[Encoded, str | None]:
    """The dead letter of an invoice whose e-mail was given up: its debt alone."""
    message = debts_pb2.DebtsRegistered(
        debt_file=debt.debt_file,
        issuer=debt.issuer,
        debts=[
            debts_pb2.DebtsRegistered.Debt(
                id=debt.id,
                name=debt.name,
                government_id=debt.government_id,
                email=debt.email,
                amount=debt.amount,
                due_date=debt.due_date,
                currency=debt.currency,
                language=debt.language,
            )
        ],
    )
    original = encode(Event(RETRY_SUBJECT, message), source=SOURCE)
    return _letter(original, f"invoice/{debt.id}", history, created_at, history[-1].at.timestamp())


def _letter(
    original: Encoded,
    about: str,
    history: Sequence[Attempt],
    first_seen: datetime,
    occasion: float,
    tenant: str = "",
) -> tuple[Encoded, str | None]:
    headers = {**original.headers, DELIVERY_HEADER: about} | ({TENANT_HEADER: tenant} if tenant else {})
    letter = compose_dead_letter(
        Encoded(subject=RETRY_SUBJECT, payload=original.payload, headers=headers),
        service=SERVICE,
        consumer=RETRY_CONSUMER,
        history=[
            Failure(at=item.at, error_type=item.code, reason=error_text(item.code, item.message)) for item in history
        ],
        attempts=len(history),
        first_seen=first_seen,
        identity=f"{about}:{occasion}",
    )
    return letter, about


def cloud_event(message: Message, *, event_id: str, source: str, time: str) -> str:
    """The event as CloudEvents 1.0 JSON (structured mode), its data as protobuf JSON."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "type": message.DESCRIPTOR.full_name,
            "source": source,
            "time": time,
            "datacontenttype": "application/json",
            "data": json_format.MessageToDict(message),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
