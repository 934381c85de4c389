"""What has become of debts, through the running service."""

from datetime import UTC, datetime, timedelta

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import DEAD_LETTERS, INVOICES, INVOICES_CHANGED_SUBJECT
from tests.integration.ingestion.conftest import World
from tests.integration.ingestion.test_debt_files import stub, upload
from tests.support.debts import content, row
from tests.support.eventually import eventually
from tocsin.events.v1.invoices_pb2 import InvoicesChanged
from tocsin.ingestion.v1 import debt_file_service_pb2 as files
from tocsin.ingestion.v1 import debt_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import Debt
from tocsin.ingestion.v1.debt_service_pb2_grpc import DebtServiceStub


def debts(world: World) -> DebtServiceStub:
    return DebtServiceStub(world.channel)


async def debt(world: World, name: str) -> Debt:
    return await stub(world).GetDebt(files.GetDebtRequest(id=name), metadata=world.me)


async def history(world: World, name: str) -> list[tuple[str, str, str]]:
    found = await debts(world).GetDebtHistory(pb.GetDebtHistoryRequest(id=name), metadata=world.me)
    return [(Debt.Status.Name(one.status), one.event, one.note) for one in found.changes]


async def tell(world: World, file: str, state: str, version: int, *names: str, code: str = "") -> None:
    """An event as notification has it."""
    event = InvoicesChanged(debt_file=file)
    for name in names:
        change = event.changes.add(debt=name, version=version, state=state, code=code)
        change.change_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=version))
    await Publisher(world.nats, source="tocsin/notification").publish(Event(INVOICES_CHANGED_SUBJECT, event))


async def test_debts_have_the_status_of_their_invoices(world: World) -> None:
    file = await upload(world, content([row("d1"), row("d2")]))
    await tell(world, file.id, "STORED", 2, "d1", "d2")
    await tell(world, file.id, "LOST", 3, "d1")
    await tell(world, file.id, "MAILED", 3, "d1")
    await tell(world, file.id, "FAILED", 3, "d2", code="SMTP_550")

    async def done() -> bool:
        found = [(await debt(world, name)).status for name in ("d1", "d2")]
        return found == [Debt.Status.MAILED, Debt.Status.FAILED]

    await eventually(done)
    assert await history(world, "d2") == [
        ("REGISTERED", "REGISTERED", ""),
        ("INVOICED", "INVOICE_STORED", ""),
        ("FAILED", "INVOICE_FAILED", "SMTP_550"),
    ]
    failed = files.ListDebtsRequest(debt_file=file.id, statuses=[Debt.Status.FAILED])
    assert [one.id for one in (await stub(world).ListDebts(failed, metadata=world.me)).debts] == ["d2"]

    async def settled() -> bool:
        # What has had its effect is gone; what nobody understands is a dead letter.
        left = (await world.nats.js.stream_info(INVOICES)).state.messages
        letters = (await world.nats.js.stream_info(DEAD_LETTERS)).state.messages
        return (left, letters) == (0, 1)

    await eventually(settled)
