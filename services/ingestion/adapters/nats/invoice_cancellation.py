"""`InvoiceCancellation` over NATS: requests to whichever replica of notification answers first."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import nats.errors
from google.protobuf.message import DecodeError

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import INVOICE_CANCELLATION_SUBJECT
from tocsin.calls.v1.invoice_cancellation_pb2 import CancelInvoicesRequest, CancelInvoicesResponse

_LOOK = timedelta(milliseconds=500)
PAGE = 1000
"""Debts of one answer; fewer are the last ones."""


class NatsInvoiceCancellation:
    """Waits `patience` at the most for each answer."""

    def __init__(self, connection: NatsConnection, patience: timedelta = timedelta(seconds=10)) -> None:
        self._connection = connection
        self._patience = patience

    async def cancel(self, file_id: str) -> AsyncGenerator[Sequence[str]]:
        """See `InvoiceCancellation`."""
        answer = await self._ask(CancelInvoicesRequest(debt_file=file_id))
        while answer.cancelled_to or answer.waiting:
            if answer.waiting:
                await asyncio.sleep(_LOOK.total_seconds())
            answer = await self._ask(CancelInvoicesRequest(debt_file=file_id, after=answer.cancelled_to))
        while answer.kept:
            yield list(answer.kept)
            if len(answer.kept) < PAGE:
                return
            answer = await self._ask(CancelInvoicesRequest(debt_file=file_id, after=answer.kept[-1], kept=True))

    async def _ask(self, asked: CancelInvoicesRequest) -> CancelInvoicesResponse:
        subject = self._connection.names.subject(INVOICE_CANCELLATION_SUBJECT)
        try:
            answer = await self._connection.nc.request(
                subject, asked.SerializeToString(), timeout=self._patience.total_seconds()
            )
            return CancelInvoicesResponse.FromString(answer.data)
        except (nats.errors.Error, TimeoutError, OSError, DecodeError) as error:
            raise Unavailable(
                "the notification service does not say which invoices have gone out; the rollback goes on once it does",
                retry_after=timedelta(seconds=5),
            ) from error
