"""Receipts: what a provider says of a notification after it had taken it, and what follows.

| the notification is | DELIVERED      | BOUNCED, FAILED                                   | OPENED               |
|---------------------|----------------|---------------------------------------------------|----------------------|
| PENDING             | SENT           | refused as too early; about another channel: kept | SENT, opened, read   |
| SENT                | delivery time  | about the address that took it: SENT by another   | opened, read         |
|                     |                | that has reported so, else the next step of the   |                      |
|                     |                | plan (PENDING), else FAILED; otherwise kept       |                      |
| FAILED              | SENT           | kept                                              | SENT, opened, read   |

Of two about one address the later one holds, by the provider's clock; of two with one time, the one that says that it
did not arrive. An open proves itself: what was opened stays SENT, and the earliest time counts. So the order in which
receipts come decides nothing. What is about an earlier sending than the one that reached the user is superseded.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.chassis.errors import FieldViolation, InvalidArgument
from services.notification.domain.errors import ReceiptEarly, check_version
from services.notification.domain.notification import Attempt, ChannelName, Notification, Status, error_text

AHEAD = timedelta(minutes=5)
"""How far a provider's clock may be ahead of ours."""
CODE = "RECEIPT_"
"""What the codes of attempts begin with that a provider has reported as failed."""


class ReceiptKind(enum.StrEnum):
    """What the provider says."""

    DELIVERED = "DELIVERED"
    BOUNCED = "BOUNCED"
    FAILED = "FAILED"
    OPENED = "OPENED"

    @property
    def arrived(self) -> bool:
        """Whether the address has it."""
        return self in (ReceiptKind.DELIVERED, ReceiptKind.OPENED)


class Effect(enum.StrEnum):
    """What a receipt has changed."""

    APPLIED = "APPLIED"
    RECORDED = "RECORDED"
    SUPERSEDED = "SUPERSEDED"
    REPEATED = "REPEATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a provider says of a notification. `id` is the provider's, the same for the same receipt. `address` as the
    notification shows it, empty for the one that took it. `expected`: the version that was seen, 0 for any."""

    id: str
    tenant: str
    notification: str
    kind: ReceiptKind
    channel: ChannelName
    occurred_at: datetime
    address: str = ""
    detail: str = ""
    expected: int = 0

    @property
    def rank(self) -> tuple[datetime, bool]:
        """The greater one of two about an address holds."""
        return self.occurred_at, not self.kind.arrived

    @property
    def attempt(self) -> Attempt:
        """For the history."""
        code = "" if self.kind.arrived else f"{CODE}{self.kind}"
        return Attempt(self.occurred_at, code, self.detail, self.channel, self.address)

    def same(self, other: "Receipt") -> bool:
        """Whether both are reports of one receipt."""
        return replace(self, detail=other.detail, expected=other.expected) == other

    def check_time(self, now: datetime) -> None:
        """Raises InvalidArgument for one that has not happened yet."""
        if self.occurred_at > now + AHEAD:
            said = f"must not be more than {AHEAD.total_seconds() / 60:g} minutes ahead"
            raise InvalidArgument(
                violations=[FieldViolation("occurTime", said, "TIME_INVALID")], reason="INVALID_FIELD"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows from a receipt: the notification as it is then. `unreached`: nobody has it any more; its plan goes
    on behind the step of its channel, or it is FAILED."""

    effect: Effect
    notification: Notification
    unreached: bool = False


def judge(notification: Notification, receipt: Receipt, known: Sequence[Receipt], *, patience: timedelta) -> Judgement:
    """The judgement on a new receipt about the notification; `known` are the earlier ones about it. `patience`: the
    longest that an attempt may take, and so how long before `sent_at` its provider may have said something.

    Raises VersionConflict and ReceiptEarly, and then nothing is to be written.
    """
    check_version(notification.id, receipt.expected, notification.version)
    if receipt.kind is ReceiptKind.OPENED:
        return _changed(notification, _opened(notification, receipt))
    if any(receipt.rank <= other.rank for other in known if _about_the_same(receipt, other)):
        return Judgement(effect=Effect.SUPERSEDED, notification=notification)
    if receipt.kind is ReceiptKind.DELIVERED:
        return _changed(notification, _arrived(notification, receipt))
    return _not_arrived(notification, receipt, known, patience)


def _about_the_same(one: Receipt, other: Receipt) -> bool:
    if other.kind is ReceiptKind.OPENED or one.channel is not other.channel:
        return False
    return one.address == other.address or not one.address or not other.address


def _changed(before: Notification, after: Notification) -> Judgement:
    if after == before:
        return Judgement(effect=Effect.RECORDED, notification=before)
    return Judgement(effect=Effect.APPLIED, notification=replace(after, version=before.version + 1))


def _opened(notification: Notification, receipt: Receipt) -> Notification:
    at = max(receipt.occurred_at, notification.created_at)
    arrived = _arrived(notification, receipt)
    opened_at = min(notification.opened_at or at, at)
    return replace(arrived, opened_at=opened_at, read_at=min(notification.read_at or opened_at, opened_at))


def _arrived(notification: Notification, receipt: Receipt) -> Notification:
    # Not before it was accepted, whatever the provider's clock shows: its time to arrive is counted.
    at = max(receipt.occurred_at, notification.created_at)
    if notification.status is not Status.SENT:
        sent = [one.at for one in notification.history if not one.code and one.channel is receipt.channel]
        return replace(
            notification,
            status=Status.SENT,
            sent_at=max(sent[-1], notification.created_at) if sent else at,
            delivered_at=at,
            channel=receipt.channel,
            address=receipt.address,
            error="",
            next_attempt_at=None,
        )
    if not _reached(notification, receipt):
        return notification
    return replace(notification, delivered_at=min(notification.delivered_at or at, at))


def _not_arrived(
    notification: Notification, receipt: Receipt, known: Sequence[Receipt], patience: timedelta
) -> Judgement:
    kept = Judgement(effect=Effect.RECORDED, notification=notification)
    if notification.status is Status.FAILED or notification.opened_at is not None:
        return kept
    if notification.status is Status.PENDING:
        if receipt.channel is notification.channel:
            raise ReceiptEarly(notification.id)
        return kept
    if not _reached(notification, receipt):
        return kept
    if notification.sent_at is not None and receipt.occurred_at < notification.sent_at - patience:
        return Judgement(effect=Effect.SUPERSEDED, notification=notification)
    attempt = receipt.attempt
    after = replace(
        notification,
        status=Status.PENDING,
        sent_at=None,
        delivered_at=None,
        address="",
        error=error_text(attempt.code, attempt.message),
        history=(*notification.history, attempt),
        version=notification.version + 1,
    )
    if (elsewhere := _arrived_elsewhere(receipt, known)) is not None:
        return Judgement(effect=Effect.APPLIED, notification=_arrived(after, elsewhere))
    return Judgement(effect=Effect.APPLIED, notification=after, unreached=True)


def _arrived_elsewhere(receipt: Receipt, known: Sequence[Receipt]) -> Receipt | None:
    """The first one that says that another address has it, and holds."""
    holding = [
        one
        for one in known
        if one.kind is ReceiptKind.DELIVERED
        and not _about_the_same(receipt, one)
        and not any(_about_the_same(one, other) and other.rank > one.rank for other in known)
    ]
    return min(holding, key=lambda one: one.rank, default=None)


def _reached(notification: Notification, receipt: Receipt) -> bool:
    """Whether it is about the address that took it."""
    if receipt.channel is not notification.channel:
        return False
    return receipt.address == notification.address or not receipt.address or not notification.address
