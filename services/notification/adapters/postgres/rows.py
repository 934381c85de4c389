"""Rows to domain values."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.notification.domain.delivery import HISTORY_LIMIT, Attempt, UnknownOutcome
from services.notification.domain.invoice import Debt, Invoice, InvoiceState, Place
from services.notification.domain.notification import ChannelName, Notification, Status, Type
from services.notification.domain.webhook import Subscription


class Row(Protocol):
    """A record, or whatever else has its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


NOTIFICATION_COLUMNS = """
    n.id::text AS id, n.recipient, n.type, n.title, n.body, n.data::text AS data, n.channel, n.status, n.attempts,
    n.error, n.created_at, n.sent_at, n.read_at, n.opened_at, n.version
"""
BASIC_COLUMNS = NOTIFICATION_COLUMNS.replace("n.body", "'' AS body").replace("n.data::text AS data", "'' AS data")
"""What a list shows."""

SCHEDULED = """
    LEFT JOIN deliveries d ON n.status = 'PENDING' AND d.id = n.id AND d.lease IS NULL
        AND d.next_attempt_at > n.created_at
"""
"""Joins the delivery `d` of a notification `n` that waits for its next attempt."""


def is_own_id(id_: str) -> bool:
    """Whether an id is in the form of those that we give. PostgreSQL takes other spellings of a UUID for the same."""
    try:
        return str(UUID(id_)) == id_
    except ValueError:
        return False


def notification(row: Row, tenant: str, next_attempt_at: Any = None) -> Notification:
    """A notification of `tenant`."""
    return Notification(
        id=row["id"],
        tenant=tenant,
        user=row["recipient"],
        type=Type(row["type"]),
        title=row["title"],
        body=row["body"],
        data=row["data"] or "",
        channel=ChannelName(row["channel"]),
        status=Status(row["status"]),
        attempts=row["attempts"],
        error=row["error"],
        created_at=row["created_at"],
        next_attempt_at=next_attempt_at,
        sent_at=row["sent_at"],
        read_at=row["read_at"],
        opened_at=row["opened_at"],
        version=row["version"],
    )


SUBSCRIPTION_COLUMNS = """
    s.id::text AS id, s.url, s.event_types, s.enabled, s.disabled_reason, s.created_at, s.former_secret_until,
    s.unknown_outcome
"""


def subscription(row: Row) -> Subscription:
    """A subscription without its secrets."""
    return Subscription(
        id=row["id"],
        url=row["url"],
        event_types=tuple(row["event_types"]),
        enabled=row["enabled"],
        disabled_reason=row["disabled_reason"],
        created_at=row["created_at"],
        former_secret_until=row["former_secret_until"],
        unknown_outcome=UnknownOutcome(row["unknown_outcome"]) if row["unknown_outcome"] else None,
    )


def debt(row: Row) -> Debt:
    """The debt of an invoice."""
    return Debt(
        id=row["debt"],
        debt_file=row["debt_file"],
        name=row["name"],
        government_id=row["government_id"],
        email=row["email"],
        amount=row["amount"],
        due_date=row["due_date"],
    )


def place(row: Row) -> Place | None:
    """Where the PDF is kept."""
    if row["object"] is None:
        return None
    return Place(object=row["object"], offset=row["object_offset"], length=row["object_length"])


def invoice(row: Row) -> Invoice:
    """An invoice."""
    return Invoice(
        debt=debt(row),
        state=InvoiceState(row["state"]),
        attempts=row["attempts"],
        error=row["error"],
        created_at=row["created_at"],
        mailed_at=row["mailed_at"],
        place=place(row),
    )


def dump_history(history: Iterable[Attempt]) -> str:
    """The latest attempts as JSON, oldest first."""
    from_oldest = list(history)[-HISTORY_LIMIT:]
    return json.dumps([[attempt.at.isoformat(), attempt.code, attempt.message] for attempt in from_oldest])


def load_history(text: str) -> tuple[Attempt, ...]:
    """The attempts in the JSON of `dump_history`."""
    return tuple(Attempt(datetime.fromisoformat(at), code, message) for at, code, message in json.loads(text))
