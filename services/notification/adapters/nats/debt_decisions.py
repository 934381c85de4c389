"""What people decide about debts, as ingestion tells it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from services.chassis.nats import ConsumerOptions, Delivery, RetryAfter, RetryPolicy
from services.chassis.nats.topology import DEBT_DECIDED_SUBJECT, DEBTS
from services.notification.adapters.nats.debts import debt_of
from services.notification.adapters.nats.events import SERVICE
from services.notification.application.ports.invoices import DebtDecisions
from services.notification.domain.invoice import DebtDecision
from tocsin.events.v1 import debts_pb2

_IN_DIALOGUE = timedelta(seconds=30)
OPTIONS = ConsumerOptions(
    service=SERVICE,
    name="debt_decisions",
    stream=DEBTS,
    subjects=(DEBT_DECIDED_SUBJECT,),
    max_in_flight=4,
    # As long as a dialogue may take, and its process may be dead meanwhile.
    retry=RetryPolicy(max_attempts=240),
)


def decisions_handler(decisions: DebtDecisions) -> Callable[[Delivery], Awaitable[None]]:
    """The handler. Raises RetryAfter while an e-mail is being handed over, whose end says what follows."""

    async def handle(delivery: Delivery) -> None:
        told = delivery.decode(debts_pb2.DebtDecided)
        debt = debt_of(told.debt, told.debt_file, told.issuer)
        decision = DebtDecision(debt=debt, version=told.version, closed=told.status != "REGISTERED")
        if not await decisions.decide(decision):
            raise RetryAfter(_IN_DIALOGUE, "the e-mail of the invoice is being handed over")

    return handle
