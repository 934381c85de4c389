"""Receipts of providers."""

from typing import Protocol

from services.notification.domain.notification import Notification
from services.notification.domain.receipt import Effect, Receipt


class ReceiptStore(Protocol):
    """What providers have said of notifications."""

    async def apply(self, receipt: Receipt) -> tuple[Effect, Notification]:
        """Writes the receipt down and changes the notification by the rules of `domain.receipt`, in one transaction and
        after all that was committed before; changes of its status are told. The notification after it.

        Raises NotificationNotFound, VersionConflict, ReceiptEarly, IdempotencyConflict where the id is that of another
        receipt, and InvalidArgument for one that has not happened yet; then nothing is written.
        """
        ...
