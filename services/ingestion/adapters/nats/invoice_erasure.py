"""`InvoiceErasure` over NATS: requests to whichever replica of notification answers first."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta

import nats.errors
from google.protobuf.message import DecodeError

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import INVOICE_ERASURE_SUBJECT
from services.ingestion.domain.debts.erasure import ErasedCounts, ErasureKind, Wanted
from tocsin.calls.v1.invoice_erasure_pb2 import EraseInvoicesRequest, EraseInvoicesResponse

_LOOK = timedelta(seconds=1)


class NatsInvoiceErasure:
    """Waits `patience` at the most for each answer."""

    def __init__(self, connection: NatsConnection, patience: timedelta = timedelta(seconds=30)) -> None:
        self._connection, self._patience = connection, patience

    async def erase(self, wanted: Wanted, debts: Mapping[str, str]) -> AsyncGenerator[ErasedCounts]:
        """See `InvoiceErasure`."""
        # Debts that are gone here may have left their invoices: those have no file.
        named = dict.fromkeys(wanted.values, "") if wanted.kind is ErasureKind.DEBTS else {}
        request = EraseInvoicesRequest(
            debts=[EraseInvoicesRequest.Debt(id=name, debt_file=file) for name, file in (named | dict(debts)).items()],
            government_id=wanted.values[0] if wanted.kind is ErasureKind.GOVERNMENT_ID else "",
            email=wanted.values[0] if wanted.kind is ErasureKind.EMAIL else "",
        )
        while True:
            answer = await self._ask(request)
            yield ErasedCounts(invoices=answer.invoices, documents=answer.documents, dead_letters=answer.letters)
            if not answer.more and not answer.waiting:
                return
            if not answer.more:
                await asyncio.sleep(_LOOK.total_seconds())

    async def _ask(self, request: EraseInvoicesRequest) -> EraseInvoicesResponse:
        subject = self._connection.names.subject(INVOICE_ERASURE_SUBJECT)
        try:
            answer = await self._connection.nc.request(
                subject, request.SerializeToString(), timeout=self._patience.total_seconds()
            )
            return EraseInvoicesResponse.FromString(answer.data)
        except (nats.errors.Error, TimeoutError, OSError, DecodeError) as error:
            raise Unavailable(
                "the notification service does not say that invoices are erased; the erasure goes on once it does",
                retry_after=timedelta(seconds=5),
            ) from error
