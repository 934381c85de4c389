"""Erasing the personal data of debtors from debts and rejected rows."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Mapping
from datetime import timedelta
from typing import Any

import pytest

from services.chassis.auth import principal
from services.chassis.auth.principal import Principal
from services.chassis.errors import Unavailable
from services.chassis.postgres import Database, Outbox
from services.chassis.tasks import cancel
from services.ingestion.adapters.postgres.debt_erasures import PostgresDebtErasures
from services.ingestion.adapters.postgres.debt_statuses import PostgresDebtStatuses
from services.ingestion.application.debts.erasures import DebtErasures
from services.ingestion.domain.debts.debt_status import DebtStatus, Decision
from services.ingestion.domain.debts.erasure import ErasedCounts, Erasure, ErasureKind, Wanted
from services.ingestion.domain.debts.errors import DebtStatusRefused
from services.ingestion.domain.errors import ResourceNotFound
from tests.contract.ingestion.test_debt_store import Desk, desk
from tests.support.debts import row
from tests.support.eventually import eventually

__all__ = ["desk"]
ANN = {"government_id": "111.222", "email": "Ann@example.org", "name": "Ann"}


@pytest.fixture
def where() -> str:
    return "real"


class Invoices:
    """Remembers what it was asked; away at first, if that is wanted."""

    def __init__(self) -> None:
        self.asked: list[tuple[Wanted, Mapping[str, str]]] = []
        self.away = False
        self.meanwhile: list[Coroutine[Any, Any, object]] = []

    async def erase(self, wanted: Wanted, debts: Mapping[str, str]) -> AsyncGenerator[ErasedCounts]:
        self.asked.append((wanted, debts))
        if self.away:
            raise Unavailable("away")
        while self.meanwhile:
            await self.meanwhile.pop()
        yield ErasedCounts(invoices=2, documents=1)
        yield ErasedCounts(invoices=1, dead_letters=1)


@pytest.fixture
def invoices() -> Invoices:
    return Invoices()


@pytest.fixture
def erasures(database: Database, invoices: Invoices) -> DebtErasures:
    return DebtErasures(PostgresDebtErasures(database), invoices)


async def erase(erasures: DebtErasures, kind: ErasureKind, *values: str) -> Erasure:
    principal.enter(Principal("dpo", frozenset({"debts:admin"}), frozenset()))
    return await erasures.erase(Wanted(kind, values), "asked for in writing")


async def test_nothing_personal_is_left(desk: Desk, database: Database, erasures: DebtErasures) -> None:
    statuses = PostgresDebtStatuses(database, Outbox(source="tests"))
    file = await desk.processed(
        [
            row("a1", **ANN),
            row("a2", **ANN),
            row("b1", government_id="111"),
            row("", **ANN),
            row("bad", **(ANN | {"email": "x;Ann@example.org"})),
            row("", government_id="111.2223", email="ann@example.org.uk"),
        ]
    )
    await statuses.decide(Decision(debt="a1", status=DebtStatus.PAID, by="bob", note="Ann called"))
    done = await erase(erasures, ErasureKind.GOVERNMENT_ID, "111.222")
    assert (done.by, done.note, done.kind, done.wanted) == (
        "dpo",
        "asked for in writing",
        ErasureKind.GOVERNMENT_ID,
        None,
    )
    assert done.complete_time is not None
    assert done.counts == ErasedCounts(debts=2, rejects=2, invoices=3, documents=1, dead_letters=1)
    for name, status in (("a1", DebtStatus.PAID), ("a2", DebtStatus.CANCELLED)):
        debt = await desk.debts.debt(name)
        assert (debt.name, debt.government_id, debt.email, debt.status) == ("", "", "", status)
    assert (await desk.debts.debt("b1")).government_id == "111"
    assert [(one.by, one.event, one.note) for one in await statuses.history("a1")] == [
        ("", "REGISTERED", ""),
        ("bob", "", ""),
        ("dpo", "ERASED", ""),
    ]
    kept = await desk.store.rejects(file.id, 0, 9)
    assert ["111.222" in one.raw for one in kept] == [False, False, True]
    assert [bool(one.raw) for one in kept] == [False, False, True]
    with pytest.raises(DebtStatusRefused):
        await statuses.decide(Decision(debt="a2", status=DebtStatus.REGISTERED, by="bob"))
    async with database.connection() as connection:
        left = await connection.fetchval("SELECT string_agg(t::text, ' ') FROM (SELECT * FROM debt_erasures) t")
        assert "111.222" not in left
        everything = await connection.fetchval("SELECT string_agg(t::text, ' ') FROM (SELECT * FROM debts) t")
        assert "Ann" not in everything
    again = await erase(erasures, ErasureKind.GOVERNMENT_ID, "111.222")
    assert (again.counts.debts, again.counts.rejects) == (0, 0)
    assert [one.id for one in (await erasures.list(9, "")).items] == [again.id, done.id]
    with pytest.raises(ResourceNotFound):
        await erasures.get("nothing")


async def test_by_address_and_by_debt(desk: Desk, erasures: DebtErasures, invoices: Invoices) -> None:
    file = await desk.processed([row("a1", **ANN), row("a2", **ANN), row("", **ANN)])
    assert (await erase(erasures, ErasureKind.DEBTS, "a1", "gone")).counts.debts == 1
    # By its debtor's data the rejected rows were found.
    assert [one.raw for one in await desk.store.rejects(file.id, 0, 9)] == [""]
    assert (await desk.debts.debt("a2")).name == "Ann"
    assert (await erase(erasures, ErasureKind.EMAIL, "ann@EXAMPLE.org")).counts.debts == 1
    assert [dict(debts) for _, debts in invoices.asked] == [{"a1": file.id}, {"a2": file.id}]


async def test_a_debt_that_comes_in_the_meantime_is_not_erased_by_half(
    desk: Desk, erasures: DebtErasures, invoices: Invoices
) -> None:
    """Its invoice may be erased already."""
    await desk.processed([row("a1", **ANN)])
    invoices.meanwhile.append(desk.processed([row("a2", **ANN)]))
    assert (await erase(erasures, ErasureKind.GOVERNMENT_ID, ANN["government_id"])).counts.debts == 2
    assert [(await desk.debts.debt(one)).name for one in ("a1", "a2")] == ["", ""]


async def test_one_that_broke_off_goes_on_by_itself(
    desk: Desk, database: Database, erasures: DebtErasures, invoices: Invoices
) -> None:
    await desk.processed([row("a1", **ANN)])
    invoices.away = True
    begun = await erase(erasures, ErasureKind.EMAIL, ANN["email"])
    assert (begun.complete_time, begun.wanted) == (None, Wanted(ErasureKind.EMAIL, (ANN["email"],)))
    # Nothing is erased here before nothing can be sent any more.
    assert (await desk.debts.debt("a1")).name == "Ann"
    await erasures.close()
    # Another process, after a kill.
    other = DebtErasures(PostgresDebtErasures(database), invoices)
    finishing = asyncio.create_task(other.finish(timedelta(milliseconds=1)))
    invoices.away = False

    async def done() -> bool:
        return (await other.get(begun.id)).complete_time is not None

    await eventually(done)
    await cancel(finishing)
    await other.close()
    assert (await other.get(begun.id)).counts.debts == 1
    assert (await desk.debts.debt("a1")).name == ""
