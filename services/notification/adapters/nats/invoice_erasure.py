"""Erases the personal data of debtors when ingestion asks for it."""

from services.chassis.nats import NatsConnection
from services.chassis.nats.answers import Answers
from services.chassis.nats.topology import INVOICE_ERASURE_SUBJECT
from services.notification.application.invoice_erasure import InvoiceErasure
from services.notification.domain.invoice import DebtorData
from tocsin.calls.v1.invoice_erasure_pb2 import EraseInvoicesRequest, EraseInvoicesResponse


def invoice_erasure_answers(connection: NatsConnection, erasure: InvoiceErasure) -> Answers:
    """Answers while they are started."""

    async def answer(data: bytes) -> bytes:
        asked = EraseInvoicesRequest.FromString(data)
        wanted = DebtorData(
            debts={one.id: one.debt_file for one in asked.debts},
            government_id=asked.government_id,
            email=asked.email,
        )
        erased = await erasure.erase(wanted)
        return EraseInvoicesResponse(
            invoices=erased.invoices,
            documents=erased.documents,
            letters=erased.letters,
            more=erased.more,
            waiting=erased.waiting,
        ).SerializeToString()

    return Answers(connection, INVOICE_ERASURE_SUBJECT, "notification/invoice_erasure", answer)
