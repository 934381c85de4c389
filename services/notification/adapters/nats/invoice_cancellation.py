"""Takes the invoices of a debt file back when ingestion asks for it."""

from services.chassis.nats import NatsConnection
from services.chassis.nats.answers import Answers
from services.chassis.nats.topology import INVOICE_CANCELLATION_SUBJECT
from services.notification.application.ports.invoices import InvoiceStore
from tocsin.calls.v1.invoice_cancellation_pb2 import CancelInvoicesRequest, CancelInvoicesResponse

_AT_ONCE = 10_000
_KEPT = 1_000
"""Debts of one answer, as the contract says."""


def invoice_cancellation_answers(connection: NatsConnection, store: InvoiceStore) -> Answers:
    """Answers while they are started."""

    async def answer(data: bytes) -> bytes:
        asked = CancelInvoicesRequest.FromString(data)
        if not asked.kept and (last := await store.cancel(asked.debt_file, asked.after, _AT_ONCE)):
            return CancelInvoicesResponse(cancelled_to=last).SerializeToString()
        if not asked.kept and await store.in_dialogue(asked.debt_file):
            return CancelInvoicesResponse(waiting=True).SerializeToString()
        kept = await store.kept(asked.debt_file, asked.after if asked.kept else "", _KEPT)
        return CancelInvoicesResponse(kept=kept).SerializeToString()

    return Answers(connection, INVOICE_CANCELLATION_SUBJECT, "notification/invoice_cancellation", answer)
