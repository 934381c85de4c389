"""A rollback that takes long goes on behind the answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import pytest

from services.chassis.errors import Unavailable
from services.chassis.ids import new_id
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.application.debts import files
from services.ingestion.application.debts.files import DebtFiles
from services.ingestion.application.debts.ports import Run, TextForm
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
    monkeypatch.setattr(files, "_PATIENCE", timedelta(0))
    store, invoices = MemoryDebtFiles(), Invoices()
    desk = DebtFiles(store, invoices, asyncio.Event())
    name = await registered(store)
    found = await asyncio.gather(desk.roll_back(name), desk.roll_back(name))
    assert [file.state for file in found] == [FileState.COMPLETED] * 2
    invoices.let.set()

    async def done() -> bool:
        return (await store.get(name)).state is FileState.ROLLED_BACK

    await eventually(done)
    assert (invoices.asked, store.tables.debts) == (1, {})
    assert (await desk.roll_back(name)).rolled_back == 3


async def test_one_that_broke_off_can_be_asked_for_again() -> None:
    store, invoices = MemoryDebtFiles(), Invoices()
    desk = DebtFiles(store, invoices, asyncio.Event())
    name = await registered(store)
    invoices.away = True
    invoices.let.set()
    with pytest.raises(Unavailable):
        await desk.roll_back(name)
    assert len(store.tables.debts) == 3
    invoices.away = False
    assert (await desk.roll_back(name)).state is FileState.ROLLED_BACK
    invoices.let.clear()
    other = await registered(store)
    waiting = asyncio.create_task(desk.roll_back(other))
    await eventually(lambda: invoices.asked == 3)
    await desk.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await store.get(other)).state is FileState.COMPLETED


async def test_what_is_on_its_way_cannot_be_taken_back() -> None:
    store = MemoryDebtFiles()
    run = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False)
    await store.open(run, "debts.csv")
    with pytest.raises(DebtFileState):
        await DebtFiles(store, Invoices(), asyncio.Event()).roll_back(run.file_id)
