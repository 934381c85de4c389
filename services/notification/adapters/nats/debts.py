"""Consumes registered debts: an invoice for each, once however often the message comes."""

from collections.abc import Awaitable, Callable

from services.chassis.nats import ConsumerOptions, Delivery
from services.chassis.nats.topology import DEBTS, DEBTS_REGISTERED_SUBJECT
from services.chassis.postgres import Connection, Database, InboxHandler
from services.notification.adapters.nats.events import SERVICE
from services.notification.adapters.postgres import invoices
from services.notification.adapters.postgres.clock import Clock
from services.notification.domain.invoice import Debt
from tocsin.events.v1 import debts_pb2

CONSUMER = "invoices"
OPTIONS = ConsumerOptions(
    service=SERVICE, name=CONSUMER, stream=DEBTS, subjects=(DEBTS_REGISTERED_SUBJECT,), max_in_flight=4
)


def debts_handler(database: Database, clock: Clock, poke: Callable[[], None]) -> Callable[[Delivery], Awaitable[None]]:
    """The handler; `poke` tells the invoicing of this process after the commit."""

    async def register(connection: Connection, delivery: Delivery) -> None:
        message = delivery.decode(debts_pb2.DebtsRegistered)
        await invoices.register(connection, debts_of(message), await clock.now(connection))

    once = InboxHandler(database, CONSUMER, register)

    async def handle(delivery: Delivery) -> None:
        await once(delivery)
        poke()

    return handle


def debts_of(message: debts_pb2.DebtsRegistered) -> list[Debt]:
    """The debts of the event; of several with one id the first counts."""
    debts = {
        debt.id: Debt(
            id=debt.id,
            debt_file=message.debt_file,
            name=debt.name,
            government_id=debt.government_id,
            email=debt.email,
            amount=debt.amount,
            due_date=debt.due_date,
        )
        for debt in reversed(message.debts)
    }
    return list(debts.values())
