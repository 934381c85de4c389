"""Rows to domain values."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from services.notification.domain.delivery import Endpoint, UnknownOutcome
from services.notification.domain.invoice import Debt, Invoice, InvoiceState, Place
from services.notification.domain.notification import HISTORY_LIMIT, Attempt, ChannelName, Notification, Status, Type
from services.notification.domain.webhook import Subscription


class Row(Protocol):
    """A record, or whatever else has its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


NOTIFICATION_COLUMNS = """
    n.id::text AS id, n.recipient, n.type, n.title, n.body, n.data::text AS data, n.channel, n.status, n.attempts,
    n.error, n.created_at, n.sent_at, n.read_at, n.opened_at, n.delivered_at, n.version, n.link, n.address
"""
BASIC_COLUMNS = NOTIFICATION_COLUMNS.replace("n.body", "'' AS body").replace("n.data::text AS data", "'' AS data")
"""What a list shows."""

SCHEDULED = """
    LEFT JOIN LATERAL (
        SELECT min(waiting.next_attempt_at) AS next_attempt_at FROM deliveries waiting
        WHERE n.status = 'PENDING' AND waiting.kind = 'NOTIFICATION' AND waiting.lease IS NULL
            AND (waiting.id = n.id OR (waiting.reference = n.id AND waiting.id <> waiting.reference))
            AND waiting.next_attempt_at > n.created_at AND NOT waiting.standby
    ) AS d ON true
"""
"""Joins when the first of the deliveries of a notification `n` that wait is attempted, `d.next_attempt_at`."""


def is_own_id(id_: str) -> bool:
    """Whether an id is in the form of those that we give. PostgreSQL takes other spellings of a UUID for the same."""
    try:
        return str(UUID(id_)) == id_
    except ValueError:
        return False


def notification(row: Row, tenant: str, next_attempt_at: Any = None, history: tuple[Attempt, ...] = ()) -> Notification:
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
        delivered_at=row["delivered_at"],
        version=row["version"],
        link=row["link"],
        address=row["address"],
        history=history,
    )


def endpoint(row: Row, id_column: str = "id") -> Endpoint:
    """An address, with all of its secrets."""
    return Endpoint(
        id=row[id_column],
        channel=ChannelName(row["channel"]),
        address=row["address"],
        secret=row["secret"],
        former_secret=row["former_secret"],
        former_secret_until=row["former_secret_until"],
        version=row["version"],
    )


SUBSCRIPTION_COLUMNS = """
    s.id::text AS id, s.url, s.event_types, s.enabled, s.disabled_reason, s.created_at, s.former_secret_until,
    s.unknown_outcome, s.version
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
        version=row["version"],
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
        currency=row["currency"],
        language=row["language"],
        issuer=row["issuer"],
        issued=row["created_at"].date().isoformat(),
    )


def place(row: Row) -> Place | None:
    """Where the PDF is kept."""
    if row["object"] is None:
        return None
    return Place(
        object=row["object"],
        offset=row["object_offset"],
        length=row["object_length"],
        shared_offset=row["shared_offset"],
        shared_length=row["shared_length"],
    )


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
        next_attempt_at=row["next_attempt_at"],
        doubtful=row["doubtful"],
    )


def dump_history(history: Iterable[Attempt]) -> str:
    """The latest attempts as JSON, oldest first."""
    from_oldest = list(history)[-HISTORY_LIMIT:]
    return json.dumps([_dumped(one) for one in from_oldest])


def _dumped(one: Attempt) -> list[str | bool]:
    usual: list[str | bool] = [one.at.isoformat(), one.code, one.message, one.channel or "", one.address]
    return [*usual, True] if one.repeat else usual


def load_history(text: str) -> tuple[Attempt, ...]:
    """The attempts in the JSON of `dump_history`."""
    return tuple(_attempt(*one) for one in json.loads(text))


def _attempt(at: str, code: str, message: str, channel: str = "", address: str = "", repeat: bool = False) -> Attempt:
    # Events, and what earlier versions kept, have neither channel nor address.
    time = datetime.fromisoformat(at)
    return Attempt(time, code, message, ChannelName(channel) if channel else None, address, repeat)
