"""A rollback that takes long goes on behind the answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import pytest

from services.chassis.errors import Aborted, Unavailable
from services.chassis.ids import new_id
from services.chassis.tasks import cancel
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debts import MemoryDebts
from services.ingestion.application.debts import rollbacks
from services.ingestion.application.debts.ports import Run, TextForm
from services.ingestion.application.debts.rollbacks import DebtRollbacks
from services.ingestion.domain.debts.debt_file import FileState
from services.ingestion.domain.debts.errors import DebtFileState
from tests.support.debts import block_of, rows_of
from tests.support.eventually import eventually


class Invoices:
    """Answers when it is let to."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()
        self.away = False

    async def cancel(self, file_id: str) -> AsyncGenerator[Sequence[str]]:
        self.asked += 1
        await self.let.wait()
        if self.away:
            raise Unavailable("away")
        yield []


async def registered(store: MemoryDebtFiles) -> str:
    run = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False)
    await store.open(run, "debts.csv")
    await store.begin(run, 1, "x", TextForm("", "", ""))
    async with store.registering(run) as writer:
        await writer.store(writer.prepare(block_of(rows_of(3))))
    return (await store.finish(run)).id


async def test_calls_meet_in_one_rollback_which_outlives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollbacks, "_PATIENCE", timedelta(0))
    store, invoices = MemoryDebtFiles(), Invoices()
    desk = DebtRollbacks(store, MemoryDebts(store.tables), invoices)
    name = await registered(store)
    found = await asyncio.gather(desk.roll_back(name), desk.roll_back(name))
    assert [file.state for file in found] == [FileState.ROLLING_BACK] * 2
    invoices.let.set()

    async def done() -> bool:
        return (await store.get(name)).state is FileState.ROLLED_BACK

    await eventually(done)
    assert (invoices.asked, store.tables.debts) == (1, {})
    assert (await desk.roll_back(name)).rolled_back == 3


async def test_one_that_broke_off_goes_on_by_itself() -> None:
    store, invoices = MemoryDebtFiles(), Invoices()
    desk = DebtRollbacks(store, MemoryDebts(store.tables), invoices)
    name = await registered(store)
    invoices.away = True
    invoices.let.set()
    with pytest.raises(Unavailable):
        await desk.roll_back(name)
    assert (len(store.tables.debts), (await store.get(name)).state) == (3, FileState.ROLLING_BACK)
    await desk.close()
    # Another process, after a kill.
    invoices.away = False
    other = DebtRollbacks(store, MemoryDebts(store.tables), invoices)
    finishing = asyncio.create_task(other.finish(timedelta(milliseconds=1)))

    async def done() -> bool:
        return (await store.get(name)).state is FileState.ROLLED_BACK

    await eventually(done)
    await cancel(finishing)
    await other.close()
    assert store.tables.debts == {}


async def test_what_is_being_taken_back_is_no_duplicate() -> None:
    store, invoices = MemoryDebtFiles(), Invoices()
    name = await registered(store)
    await store.rolling_back(name)
    run = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False)
    await store.open(run, "again.csv")
    assert await store.begin(run, 1, "x", TextForm("", "", "")) is None
    async with store.registering(run) as writer:
        with pytest.raises(Aborted):
            await writer.store(writer.prepare(block_of(rows_of(3))))
        invoices.let.set()
        await DebtRollbacks(store, MemoryDebts(store.tables), invoices).roll_back(name)
        assert (await writer.store(writer.prepare(block_of(rows_of(3))))).accepted == 3


async def test_what_is_on_its_way_cannot_be_taken_back() -> None:
    store = MemoryDebtFiles()
    run = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False)
    await store.open(run, "debts.csv")
    with pytest.raises(DebtFileState):
        await DebtRollbacks(store, MemoryDebts(store.tables), Invoices()).roll_back(run.file_id)
