"""The port `DebtStatusStore` in memory and in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.ids import new_id
from services.chassis.postgres import Database, Outbox
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debt_statuses import MemoryDebtStatuses
from services.ingestion.adapters.postgres.debt_statuses import PostgresDebtStatuses
from services.ingestion.application.debts.ports import DebtStatusStore
from services.ingestion.domain.debts.debt_file import DebtFilter
from services.ingestion.domain.debts.debt_status import DebtStatus, Decision, InvoiceChange, invoice_change
from services.ingestion.domain.debts.errors import DebtStatusRefused, VersionConflict
from services.ingestion.domain.errors import ResourceNotFound
from tests.contract.ingestion.test_debt_store import Desk, desk
from tests.support.debts import rows_of

__all__ = ["desk"]

NOW = datetime(2126, 1, 1, tzinfo=UTC)
"""Later than any registration."""


@pytest.fixture
def statuses(desk: Desk, where: str, request: pytest.FixtureRequest) -> DebtStatusStore:
    if where == "memory":
        assert isinstance(desk.store, MemoryDebtFiles)
        return MemoryDebtStatuses(desk.store.tables)
    database: Database = request.getfixturevalue("database")
    return PostgresDebtStatuses(database, Outbox(source="tests"))


def change(debt: str, file: str, version: int, state: str, code: str = "", *, doubtful: bool = False) -> InvoiceChange:
    told = invoice_change(state, NOW + timedelta(seconds=version), code, doubtful=doubtful)
    assert told is not None
    return InvoiceChange(debt=debt, debt_file=file, version=version, change=told)


async def registered(desk: Desk, count: int) -> tuple[str, list[str]]:
    """A file, and the ids of its debts by line."""
    file = await desk.processed(rows_of(count))
    return file.id, [debt.id for debt in await desk.debts.debts_of_file(DebtFilter(file.id), 0, count)]


async def found(desk: Desk, ids: Sequence[str]) -> list[tuple[DebtStatus, int]]:
    debts = [await desk.debts.debt(one) for one in ids]
    return [(debt.status, debt.version) for debt in debts]


async def told(statuses: DebtStatusStore, debt: str) -> list[tuple[str, str, str]]:
    return [(one.status.name, one.event, one.note) for one in await statuses.history(debt)]


async def test_debts_go_with_their_invoices(desk: Desk, statuses: DebtStatusStore) -> None:
    file, [one, two, three] = await registered(desk, 3)
    await statuses.follow(
        {
            "e1": [change(debt, file, 2, "STORED") for debt in (one, two)],
            # In one breath: the newer one counts.
            "e2": [change(one, file, 3, "MAILED"), change("nobody", file, 3, "MAILED")],
        }
    )
    await statuses.follow({"e3": [change(two, file, 3, "STORED", "CUT", doubtful=True)]})
    await statuses.follow({"e4": [change(two, file, 4, "FAILED", "SMTP_550", doubtful=True)]})
    [(status, _), (failed, _), third] = await found(desk, [one, two, three])
    assert (status, failed) == (DebtStatus.MAILED, DebtStatus.FAILED)
    assert third == (DebtStatus.REGISTERED, 1)
    assert await told(statuses, one) == [
        ("REGISTERED", "REGISTERED", ""),
        ("INVOICED", "INVOICE_STORED", ""),
        ("MAILED", "INVOICE_MAILED", ""),
    ]
    assert await told(statuses, two) == [
        ("REGISTERED", "REGISTERED", ""),
        ("INVOICED", "INVOICE_STORED", ""),
        ("MAILED", "INVOICE_DOUBTFUL", "CUT"),
        ("FAILED", "INVOICE_FAILED", "SMTP_550"),
    ]
    [begun] = await statuses.history(three)
    assert begun.time == (await desk.debts.debt(three)).create_time
    with pytest.raises(ResourceNotFound):
        await statuses.history("nobody")


async def test_what_may_be_out_stays_so_when_its_invoice_is_cancelled(desk: Desk, statuses: DebtStatusStore) -> None:
    """Because its debtor is erased, say."""
    file, [one, two] = await registered(desk, 2)
    await statuses.follow({"e1": [change(debt, file, 2, "STORED", "CUT", doubtful=True) for debt in (one, two)]})
    await statuses.follow({"e2": [change(one, file, 3, "CANCELLED", doubtful=True), change(two, file, 3, "CANCELLED")]})
    assert [status.name for status, _ in await found(desk, [one, two])] == ["MAILED", "REGISTERED"]
    assert (await told(statuses, one))[-1] == ("MAILED", "INVOICE_CANCELLED", "")


async def test_nothing_goes_backwards_and_an_event_counts_once(desk: Desk, statuses: DebtStatusStore) -> None:
    file, [one] = await registered(desk, 1)
    await statuses.follow({"e2": [change(one, file, 3, "MAILED")]})
    for _ in range(2):
        await statuses.follow({"e1": [change(one, file, 2, "STORED")]})
    assert await found(desk, [one]) == [(DebtStatus.MAILED, 3)]
    # What came late has its place in the history all the same.
    assert [name for name, _, _ in await told(statuses, one)] == ["REGISTERED", "INVOICED", "MAILED"]


async def test_of_another_file_nothing_is_heard(desk: Desk, statuses: DebtStatusStore) -> None:
    file, [one] = await registered(desk, 1)
    await statuses.follow({"e1": [change(one, new_id(), 9, "MAILED"), change(one, "f1", 9, "MAILED")]})
    await statuses.follow({"e2": [change(one, new_id(), 9, "FAILED"), change(one, file, 2, "STORED")]})
    assert await found(desk, [one]) == [(DebtStatus.INVOICED, 2)]


async def test_a_history_is_bounded_and_keeps_the_newest(desk: Desk, statuses: DebtStatusStore, where: str) -> None:
    file, [one] = await registered(desk, 1)
    for version in range(2, 402, 2):
        changes = [change(one, file, version, "FAILED", "SMTP_550"), change(one, file, version + 1, "PENDING")]
        await statuses.follow({f"e{version}": changes})
    kept = await statuses.history(one)
    assert kept[-1].time == NOW + timedelta(seconds=401)
    assert where == "memory" or 100 < len(kept) < 300


def said(debt: str, status: DebtStatus, version: int = 0) -> Decision:
    return Decision(debt=debt, status=status, by="ann", note="because", expected_version=version)


async def test_what_a_person_says_holds_until_a_person_says_something_else(
    desk: Desk, statuses: DebtStatusStore
) -> None:
    file, [one] = await registered(desk, 1)
    paid = await statuses.decide(said(one, DebtStatus.PAID, 1))
    assert (paid.status, paid.version) == (DebtStatus.PAID, 2)
    assert await desk.debts.debt(one) == paid
    # Again is no change, whatever version the caller has seen.
    assert await statuses.decide(said(one, DebtStatus.PAID, 1)) == paid
    await statuses.follow({"e1": [change(one, file, 2, "STORED"), change(one, file, 3, "CANCELLED")]})
    assert await found(desk, [one]) == [(DebtStatus.PAID, 3)]
    with pytest.raises(DebtStatusRefused) as refused:
        await statuses.decide(said(one, DebtStatus.CANCELLED))
    assert refused.value.metadata == {"debt": one, "status": "PAID"}
    with pytest.raises(VersionConflict) as conflict:
        await statuses.decide(said(one, DebtStatus.REGISTERED, 2))
    assert conflict.value.metadata == {"id": one, "expected": "2", "current": "3"}
    again = await statuses.decide(said(one, DebtStatus.REGISTERED, 3))
    assert (again.status, again.version) == (DebtStatus.REGISTERED, 4)
    await statuses.follow({"e2": [change(one, file, 4, "STORED")]})
    cancelled = await statuses.decide(said(one, DebtStatus.CANCELLED))
    assert (await statuses.decide(said(one, DebtStatus.REGISTERED))).status is DebtStatus.INVOICED
    assert await statuses.decide(said(one, DebtStatus.REGISTERED)) == await desk.debts.debt(one)
    assert cancelled.status is DebtStatus.CANCELLED
    with pytest.raises(ResourceNotFound):
        await statuses.decide(said("nobody", DebtStatus.PAID))


async def test_a_history_says_who_and_why(desk: Desk, statuses: DebtStatusStore) -> None:
    file, [one] = await registered(desk, 1)
    await statuses.decide(said(one, DebtStatus.PAID))
    await statuses.follow({"e1": [change(one, file, 2, "CANCELLED")]})
    assert [(entry.status.name, entry.by, entry.event, entry.note) for entry in await statuses.history(one)] == [
        ("REGISTERED", "", "REGISTERED", ""),
        ("PAID", "ann", "", "because"),
        ("PAID", "", "INVOICE_CANCELLED", ""),
    ]


async def test_a_rollback_leaves_what_is_out_although_somebody_has_cancelled_it(
    desk: Desk, statuses: DebtStatusStore
) -> None:
    file, [one, two] = await registered(desk, 2)
    for debt in (one, two):
        await statuses.decide(said(debt, DebtStatus.CANCELLED))
    for _ in range(2):
        await desk.debts.mailed([one])
    assert await desk.debts.remove_debts(file, 9) == 1
    assert await found(desk, [one]) == [(DebtStatus.CANCELLED, 3)]


async def test_what_a_rollback_has_left_as_paid_stays_so(desk: Desk, statuses: DebtStatusStore) -> None:
    """No invoice is made of it any more: to call it REGISTERED would promise one."""
    file, [one, two] = await registered(desk, 2)
    await statuses.decide(said(one, DebtStatus.PAID))
    await desk.debts.mailed([two])
    await statuses.decide(said(two, DebtStatus.PAID))
    await desk.store.rolling_back(file)
    assert await desk.debts.remove_debts(file, 9) == 0
    await desk.store.rolled_back(file)
    with pytest.raises(DebtStatusRefused, match="of a file that was rolled back"):
        await statuses.decide(said(one, DebtStatus.REGISTERED))
    assert (await statuses.decide(said(two, DebtStatus.REGISTERED))).status is DebtStatus.MAILED


async def test_what_a_rollback_leaves_says_why(desk: Desk, statuses: DebtStatusStore) -> None:
    _, [one, _] = await registered(desk, 2)
    await desk.debts.mailed([one])
    assert (await told(statuses, one))[1:] == [("MAILED", "ROLLBACK", "")]
