"""Consumes registered debts: an invoice for each, once however often the message comes."""

from collections.abc import Awaitable, Callable

from services.chassis.nats import ConsumerOptions, Delivery
from services.chassis.nats.topology import DEBTS, DEBTS_REGISTERED_SUBJECT
from services.notification.adapters.nats.events import SERVICE
from services.notification.application.ports.invoices import InvoiceStore
from services.notification.domain.invoice import Debt
from tocsin.events.v1 import debts_pb2

OPTIONS = ConsumerOptions(
    service=SERVICE, name="invoices", stream=DEBTS, subjects=(DEBTS_REGISTERED_SUBJECT,), max_in_flight=4
)


def debts_handler(invoices: InvoiceStore, poke: Callable[[], None]) -> Callable[[Delivery], Awaitable[None]]:
    """The handler; `poke` tells the invoicing of this process after the commit."""

    async def handle(delivery: Delivery) -> None:
        await invoices.register(delivery.id, debts_of(delivery.decode(debts_pb2.DebtsRegistered)))
        poke()

    return handle


def debts_of(message: debts_pb2.DebtsRegistered) -> list[Debt]:
    """The debts of the event; of several with one id the first counts."""
    debts = {debt.id: debt_of(debt, message.debt_file, message.issuer) for debt in reversed(message.debts)}
    return list(debts.values())


def debt_of(debt: debts_pb2.DebtsRegistered.Debt, debt_file: str, issuer: str) -> Debt:
    """One of them."""
    return Debt(
        id=debt.id,
        debt_file=debt_file,
        name=debt.name,
        government_id=debt.government_id,
        email=debt.email,
        amount=debt.amount,
        due_date=debt.due_date,
        currency=debt.currency,
        language=debt.language,
        issuer=issuer,
    )
