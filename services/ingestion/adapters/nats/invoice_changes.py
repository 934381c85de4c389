"""What becomes of invoices moves the status of their debts: many changes in one transaction, each event once."""

from collections.abc import Sequence
from datetime import UTC

from services.chassis.nats import ConsumerOptions, Delivery, Outcomes, Permanent
from services.chassis.nats.topology import INVOICES
from services.ingestion.application.debts.ports import DebtStatusStore
from services.ingestion.domain.debts.debt_status import InvoiceChange, invoice_change
from tocsin.events.v1.invoices_pb2 import InvoicesChanged

OPTIONS = ConsumerOptions(service="ingestion", name="debt_statuses", stream=INVOICES, max_in_flight=20)


class InvoiceChanges:
    """The handler of the consumer."""

    def __init__(self, debts: DebtStatusStore) -> None:
        self._debts = debts

    async def take(self, deliveries: Sequence[Delivery]) -> Outcomes:
        """Permanent for what cannot be read; the others have their effect together, each once."""
        outcomes: list[Exception | None] = [None] * len(deliveries)
        events: dict[str, Sequence[InvoiceChange]] = {}
        for place, delivery in enumerate(deliveries):
            try:
                events[delivery.id] = changes_of(delivery.decode(InvoicesChanged))
            except Permanent as error:
                outcomes[place] = error
        if events:
            await self._debts.follow(events)
        return outcomes


def changes_of(event: InvoicesChanged) -> list[InvoiceChange]:
    """Raises Permanent for a state that is not known here."""
    changes: list[InvoiceChange] = []
    for one in event.changes:
        change = invoice_change(one.state, one.change_time.ToDatetime(UTC), one.code, doubtful=one.doubtful)
        if change is None:
            raise Permanent(f"no invoice can be in the state {one.state}")
        changes.append(InvoiceChange(debt=one.debt, debt_file=event.debt_file, version=one.version, change=change))
    return changes
