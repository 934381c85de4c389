"""Debt files that are stopped and taken back, through the running service."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.ids import new_id
from services.chassis.postgres import Connection
from services.notification.adapters.memory.invoices import InMemoryInvoices
from services.notification.adapters.nats.invoice_cancellation import invoice_cancellation_answers
from services.notification.application.claimed_delivery import Mailed
from services.notification.domain.invoice import Debt as InvoiceDebt
from services.notification.domain.invoice import Place
from tests.integration.ingestion.conftest import World, started
from tests.integration.ingestion.test_debt_files import count, refused, stub, told, upload
from tests.support.debts import content, row, rows_of
from tests.support.eventually import eventually
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import Debt, DebtFile


async def test_a_file_can_be_watched_from_its_first_byte_by_the_id_that_its_sender_gives_it(world: World) -> None:
    name = new_id()
    file = await upload(world, content(rows_of(3)), id=name)
    assert file.id == name
    assert (await refused(world, content(rows_of(3)), id=name))[0] == grpc.StatusCode.ALREADY_EXISTS
    for bad in (str(uuid4()), name.upper(), "x"):
        assert (await refused(world, content(rows_of(3)), id=bad))[0] == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("dry_run", "came_of_it"), [(False, "0 debts of it were registered by then"), (True, "a dry run registers nothing")]
)
async def test_a_file_is_stopped_while_its_bytes_come(world: World, dry_run: bool, came_of_it: str) -> None:
    service, name, stopped = stub(world), new_id(), asyncio.Event()

    async def halting() -> AsyncIterator[pb.UploadDebtFileRequest]:
        yield pb.UploadDebtFileRequest(metadata=pb.UploadDebtFileRequest.Metadata(id=name, dry_run=dry_run))
        yield pb.UploadDebtFileRequest(chunk=content(rows_of(3)))
        await stopped.wait()

    call = service.UploadDebtFile(halting(), metadata=world.me)
    asked = pb.CancelDebtFileRequest(id=name)

    async def known() -> bool:
        return (await service.ListDebtFiles(pb.ListDebtFilesRequest(), metadata=world.me)).total_size == 1

    await eventually(known)
    file = await service.CancelDebtFile(asked, metadata=world.me)
    assert (file.state, file.accepted, file.error) == (DebtFile.State.CANCELLED, 0, "cancelled by me")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    stopped.set()
    assert told(caught.value) == (grpc.StatusCode.ABORTED, "UPLOAD_CANCELLED", {"debtFile": name})
    assert caught.value.details() == f"the file was cancelled; {came_of_it}"
    assert await service.CancelDebtFile(asked, metadata=world.me) == file
    assert (await upload(world, content(rows_of(3)))).accepted == 3


async def test_a_file_is_stopped_between_two_blocks_and_taken_back(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_block=64 * 1024) as world:
        name, service = new_id(), stub(world)
        async with world.database.transaction() as connection:
            await connection.execute("LOCK TABLE outbox IN SHARE MODE")
            call = asyncio.ensure_future(upload(world, content(rows_of(20_000)), id=name))
            # The first block waits with its events; the file is stopped behind it.
            await eventually(lambda: waiting(connection, 1))
            asked = pb.CancelDebtFileRequest(id=name)
            cancelling = asyncio.ensure_future(service.CancelDebtFile(asked, metadata=world.me))
            await eventually(lambda: waiting(connection, 2))
        file = await cancelling
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert told(caught.value)[1] == "UPLOAD_CANCELLED"
        assert file.state == DebtFile.State.CANCELLED
        assert 0 < file.accepted < 20_000
        assert await count(world, "debts") == file.accepted
        # Nobody says what has gone out.
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.RollBackDebtFile(pb.RollBackDebtFileRequest(id=name), metadata=world.me)
        assert told(caught.value)[0] == grpc.StatusCode.UNAVAILABLE
        assert await count(world, "debts") == file.accepted


async def test_a_rollback_takes_back_what_has_not_gone_out(world: World) -> None:
    invoices = InMemoryInvoices()
    answers = invoice_cancellation_answers(world.nats, invoices)
    await answers.start()
    try:
        file = await upload(world, content(rows_of(5)))
        mine = [debt.id for debt in await listed_debts(world, file.id)]
        await invoices.register("e1", [invoice_debt(one, file.id) for one in mine[:4]])
        [*claimed] = (await invoices.claim(9, mail=True)).claimed
        await invoices.stored([(one, Place(object="o", offset=0, length=1)) for one in claimed])
        gone = [one for one in claimed if one.debt.id in mine[:2]]
        await invoices.change([Mailed(invoice=one) for one in gone])
        asked = pb.RollBackDebtFileRequest(id=file.id)
        found = await stub(world).RollBackDebtFile(asked, metadata=world.me)
        assert (found.state, found.rolled_back, found.kept) == (DebtFile.State.ROLLED_BACK, 3, 2)
        assert await stub(world).RollBackDebtFile(asked, metadata=world.me) == found
        left = await listed_debts(world, file.id)
        assert [(debt.id, debt.status) for debt in left] == [(one, Debt.Status.MAILED) for one in mine[:2]]
        # The debt whose event had not come leads to no invoice either.
        assert await invoices.register("e2", [invoice_debt(mine[4], file.id)]) == 0
        again = await upload(world, content(rows_of(5)))
        assert (again.accepted, again.duplicates, again.identical_to) == (3, 2, "")
        tried = await upload(world, content(rows_of(2)), dry_run=True)
        repeat = await upload(world, content(rows_of(5)))
        assert repeat.identical_to == again.id
        for other in (tried.id, repeat.id):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub(world).RollBackDebtFile(pb.RollBackDebtFileRequest(id=other), metadata=world.me)
            assert told(caught.value)[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "DEBT_FILE_STATE")
    finally:
        await answers.stop()


async def test_lists_say_what_they_are_asked(world: World) -> None:
    service = stub(world)
    await upload(
        world, content([row("d1", due_date="2027-01-31"), row("d2", due_date="2027-02-28")]), filename="Jan.csv"
    )
    bad = await upload(world, content([row("d3"), row("d4", email="x")]), filename="feb.csv")

    async def files(**wanted: Any) -> list[str]:
        request = pb.ListDebtFilesRequest(**wanted)
        return [file.filename for file in (await service.ListDebtFiles(request, metadata=world.me)).debt_files]

    assert await files(filename="JAN") == ["Jan.csv"]
    assert await files(states=[DebtFile.State.COMPLETED_WITH_REJECTS]) == ["feb.csv"]
    later = pb.ListDebtFilesRequest()
    getattr(later, "from").CopyFrom(bad.create_time)
    assert [file.id for file in (await service.ListDebtFiles(later, metadata=world.me)).debt_files] == [bad.id]
    due = pb.ListDebtsRequest(due_from="2027-02-01", due_to="2027-02-28")
    assert [debt.id for debt in (await service.ListDebts(due, metadata=world.me)).debts] == ["d2"]
    page = await service.ListDebts(pb.ListDebtsRequest(page_size=2), metadata=world.me)
    rest = pb.ListDebtsRequest(page_size=2, page_token=page.next_page_token)
    assert [debt.id for debt in (await service.ListDebts(rest, metadata=world.me)).debts] == ["d3"]
    reasons = (await service.ListDebtFileRejects(pb.ListDebtFileRejectsRequest(id=bad.id), metadata=world.me)).reasons
    assert [(one.reason, one.rows) for one in reasons] == [("EMAIL_INVALID", 1)]
    for wrong in ({"due_from": "2027-02-30"}, {"due_from": "2027-02-02", "due_to": "2027-02-01"}, {"due_to": "soon"}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.ListDebts(pb.ListDebtsRequest(**wrong), metadata=world.me)
        assert told(caught.value)[0] == grpc.StatusCode.INVALID_ARGUMENT
    nothing = pb.ListDebtsRequest(debt_file=bad.id, statuses=[Debt.Status.PAID])
    assert not (await service.ListDebts(nothing, metadata=world.me)).debts
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.ListDebts(pb.ListDebtsRequest(debt_file="nonsense"), metadata=world.me)
    assert told(caught.value)[0] == grpc.StatusCode.NOT_FOUND
    switched = pb.ListDebtsRequest(page_size=2, page_token=page.next_page_token, due_to="2027-12-31")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.ListDebts(switched, metadata=world.me)
    assert told(caught.value)[1] == "PAGE_TOKEN_INVALID"


async def listed_debts(world: World, file_id: str) -> list[Debt]:
    found = await stub(world).ListDebts(pb.ListDebtsRequest(debt_file=file_id, page_size=1000), metadata=world.me)
    return list(found.debts)


def invoice_debt(debt_id: str, file_id: str) -> InvoiceDebt:
    return InvoiceDebt(
        id=debt_id,
        debt_file=file_id,
        name="Ana",
        government_id="1",
        email="a@example.org",
        amount="1.00",
        due_date="2027-01-31",
    )


async def waiting(connection: Connection, sessions: int) -> bool:
    """Whether so many wait for locks."""
    return await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") >= sessions
