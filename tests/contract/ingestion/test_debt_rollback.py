"""Debt files that are stopped and taken back, and lists of files and debts, in memory and in PostgreSQL."""

from datetime import date, timedelta

import pytest

from services.chassis.ids import new_id
from services.ingestion.domain.debts.debt_file import Counts, DebtFilter, FileFilter, FileState
from services.ingestion.domain.debts.debt_status import DebtStatus
from services.ingestion.domain.debts.errors import DebtFileState, LeaseLost
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound
from tests.contract.ingestion.test_debt_store import FORM, Desk, desk, stored
from tests.support.debts import row, rows_of

__all__ = ["desk"]


async def ids(desk: Desk, wanted: DebtFilter) -> list[str]:
    """All that the lists have, by pages of two."""
    found: list[str] = []
    line, after = 0, ""
    while True:
        if wanted.debt_file:
            page = await desk.debts.debts_of_file(wanted, line, 2)
        else:
            page = await desk.debts.debts(wanted, after, 2)
        found += [debt.id for debt in page]
        if len(page) < 2:
            return found
        line, after = page[-1].line, page[-1].id


async def test_what_is_cancelled_writes_nothing_more_and_keeps_what_it_has(desk: Desk) -> None:
    run = await desk.begun(b"x")
    async with desk.store.registering(run) as writer:
        await stored(writer, [rows_of(3)])
        file = await desk.store.cancel(run.file_id, "cancelled by ann")
        assert (file.state, file.error, file.counts.accepted) == (FileState.CANCELLED, "cancelled by ann", 3)
        with pytest.raises(LeaseLost):
            await stored(writer, [rows_of(3, 10)])
    with pytest.raises(LeaseLost):
        await desk.store.renew(run, 9)
    await desk.store.fail(run, "too late")
    assert await desk.store.get(run.file_id) == file
    assert await desk.store.cancel(run.file_id, "again") == file
    assert await desk.completed() == [(run.file_id, "CANCELLED", Counts(3, 0, 0))]
    receiving = await desk.opened()
    assert (await desk.store.cancel(receiving.file_id, "x")).state is FileState.CANCELLED
    done = await desk.processed([row("d1")])
    with pytest.raises(DebtFileState):
        await desk.store.cancel(done.id, "x")
    for name in (new_id(), "nothing"):
        with pytest.raises(ResourceNotFound):
            await desk.store.cancel(name, "x")


async def test_a_rollback_leaves_what_is_mailed_or_paid(desk: Desk) -> None:
    other = await desk.processed([row("other")])
    file = await desk.processed(rows_of(7))
    mine = await ids(desk, DebtFilter(debt_file=file.id))
    await desk.debts.mailed([*mine[:2], "nobody"])
    await desk.debts.mailed(mine[:1])
    assert [await desk.debts.remove_debts(file.id, 3) for _ in range(3)] == [3, 2, 0]
    found = await desk.store.rolled_back(file.id)
    assert (found.state, found.rolled_back, found.kept, found.counts) == (FileState.ROLLED_BACK, 5, 2, file.counts)
    assert await desk.store.rolled_back(file.id) == found
    assert await ids(desk, DebtFilter(debt_file=file.id)) == mine[:2]
    left = await desk.debts.debt(mine[0])
    assert (left.status, left.version) == (DebtStatus.MAILED, 2)
    with pytest.raises(ResourceNotFound):
        await desk.debts.debt(mine[4])
    assert (await desk.debts.debt("other")).debt_file == other.id
    assert [state for file_id, state, _ in await desk.completed() if file_id == file.id] == ["COMPLETED", "ROLLED_BACK"]


async def test_ids_that_were_rolled_back_can_be_registered_again(desk: Desk) -> None:
    file = await desk.processed(rows_of(3))
    while await desk.debts.remove_debts(file.id, 2):
        pass
    await desk.store.rolled_back(file.id)
    again = await desk.processed([*rows_of(3)])
    assert again.counts == Counts(3, 0, 0)


async def test_after_a_rollback_the_same_content_is_processed_again(desk: Desk) -> None:
    first, second = await desk.begun(b"one"), await desk.begun(b"two")
    for run in (first, second):
        async with desk.store.registering(run) as writer:
            await stored(writer, [rows_of(3)])
        await desk.store.finish(run)
    assert (await desk.store.get(second.file_id)).counts == Counts(0, 3, 0)
    while await desk.debts.remove_debts(first.file_id, 9):
        pass
    await desk.store.rolled_back(first.file_id)
    # What the second one called duplicates is gone.
    for content in (b"one", b"two"):
        run = await desk.begun(content)
        async with desk.store.registering(run) as writer:
            await stored(writer, [rows_of(3)])
        await desk.store.finish(run)
    repeat = await desk.opened()
    assert (await desk.store.begin(repeat, 3, (await desk.store.get(run.file_id)).sha256, FORM)) is not None


async def test_a_file_has_the_id_that_its_sender_gives_it_once(desk: Desk) -> None:
    run = await desk.opened()
    with pytest.raises(ResourceExists):
        await desk.store.open(run, "another.csv")
    assert (await desk.store.get(run.file_id)).filename == "debts.csv"


async def test_files_are_found_by_state_time_and_name(desk: Desk) -> None:
    done = await desk.processed([row("d1")])
    open_ = await desk.store.get((await desk.opened()).file_id)

    async def found(**wanted: object) -> list[str]:
        one = FileFilter(**wanted)  # pyright: ignore[reportArgumentType]
        files = await desk.store.newest(one, None, 0, 10)
        assert await desk.store.count(one) == len(files)
        return [file.id for file in files]

    both = [open_.id, done.id]
    assert await found() == both
    assert await found(states=(FileState.COMPLETED, FileState.FAILED)) == [done.id]
    assert await found(filename="EBTS.c") == both
    assert await found(filename="%") == []
    assert await found(since=done.create_time, until=open_.create_time) == [done.id]
    assert await found(since=open_.create_time + timedelta(seconds=1)) == []


async def test_debts_are_found_by_file_status_and_due_date(desk: Desk) -> None:
    days = ["2027-01-01", "2027-01-02", "2027-01-03"]
    file = await desk.processed([row(f"z{n}", due_date=day) for n, day in enumerate(days)])
    await desk.processed([row("a", due_date=days[1])])
    assert await ids(desk, DebtFilter()) == ["a", "z0", "z1", "z2"]
    assert await ids(desk, DebtFilter(debt_file=file.id)) == ["z0", "z1", "z2"]
    assert await ids(desk, DebtFilter(debt_file="nothing")) == []
    second = date(2027, 1, 2)
    assert await ids(desk, DebtFilter(due_from=second)) == ["a", "z1", "z2"]
    assert await ids(desk, DebtFilter(file.id, (), second, second)) == ["z1"]
    await desk.debts.mailed(["z1"])
    assert await ids(desk, DebtFilter(statuses=(DebtStatus.MAILED, DebtStatus.PAID))) == ["z1"]
