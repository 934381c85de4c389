"""What has become of debts, through the running service."""

from datetime import UTC, datetime, timedelta

import grpc.aio
import pytest

from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import (
    DEAD_LETTERS,
    DEBT_DECIDED_SUBJECT,
    DEBTS,
    INVOICES,
    INVOICES_CHANGED_SUBJECT,
)
from tests.integration.ingestion.conftest import World
from tests.integration.ingestion.test_debt_files import stub, told, upload
from tests.support.debts import content, row, settled
from tests.support.eventually import eventually
from tocsin.events.v1.debts_pb2 import DebtDecided
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

    async def over() -> bool:
        # What has had its effect is gone; what nobody understands is a dead letter.
        left = (await world.nats.js.stream_info(INVOICES)).state.messages
        letters = (await world.nats.js.stream_info(DEAD_LETTERS)).state.messages
        return (left, letters) == (0, 1)

    await eventually(over)


async def decisions(world: World) -> list[tuple[str, str, str, int]]:
    """The events of what people have decided: debt, name of the debtor, status, version."""
    js = world.nats.js
    found: list[tuple[str, str, str, int]] = []
    for sequence in range(1, (await js.stream_info(DEBTS)).state.last_seq + 1):
        message = await js.get_msg(DEBTS, sequence)
        if message.subject == DEBT_DECIDED_SUBJECT:
            event = DebtDecided.FromString(message.data or b"")
            found.append((event.debt.id, event.debt.name, event.status, event.version))
    return found


async def test_people_say_what_has_become_of_a_debt(world: World) -> None:
    await upload(world, content([row("d1")]))
    ask, ann = debts(world), world.as_user("ann", ("debts:write",))
    paid = pb.UpdateDebtRequest(id="d1", status=Debt.Status.PAID, note="by transfer", expected_version=1)
    for _ in range(2):
        found = await ask.UpdateDebt(paid, metadata=ann)
        assert (found.status, found.version) == (Debt.Status.PAID, 2)
    for refused, code, reason in (
        (
            pb.UpdateDebtRequest(id="d1", status=Debt.Status.CANCELLED),
            grpc.StatusCode.FAILED_PRECONDITION,
            "DEBT_STATUS",
        ),
        (
            pb.UpdateDebtRequest(id="d1", status=Debt.Status.REGISTERED, expected_version=1),
            grpc.StatusCode.ABORTED,
            "VERSION_CONFLICT",
        ),
        (pb.UpdateDebtRequest(id="d1", status=Debt.Status.MAILED), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (pb.UpdateDebtRequest(id="d9", status=Debt.Status.PAID), grpc.StatusCode.NOT_FOUND, "NOT_FOUND"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask.UpdateDebt(refused, metadata=ann)
        assert told(caught.value)[:2] == (code, reason)
    await ask.UpdateDebt(pb.UpdateDebtRequest(id="d1", status=Debt.Status.REGISTERED), metadata=ann)
    await settled(world)
    assert await decisions(world) == [("d1", "Ana", "PAID", 2), ("d1", "Ana", "REGISTERED", 3)]
    changes = (await ask.GetDebtHistory(pb.GetDebtHistoryRequest(id="d1"), metadata=world.me)).changes
    assert [(one.by, one.note) for one in changes] == [("", ""), ("ann", "by transfer"), ("ann", "")]
