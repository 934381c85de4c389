"""Erasing the personal data of debtors: the same suite in memory and on PostgreSQL."""

from dataclasses import replace

import pytest

from services.chassis.errors import Unavailable
from services.notification.adapters.memory.documents import InMemoryDocuments
from services.notification.adapters.nats.events import INVOICE_LETTERS
from services.notification.adapters.postgres.dead_letters import PostgresDeadLetters
from services.notification.application.claimed_delivery import Mailed, Sending
from services.notification.application.invoice_erasure import InvoiceErasure
from services.notification.domain.dead_letter import LetterFilter, LetterState
from services.notification.domain.invoice import Debt, DebtDecision, DebtorData, Erased, InvoiceState, Place
from tests.contract.notification.conftest import BUSY, PostgresRig, Rig
from tests.contract.notification.test_invoice_changes import SOON
from tests.contract.notification.test_invoice_store import claim, debt, retry
from tests.support.dead_letters import LETTER


def erased(invoices: int = 1, documents: int = 0, *, more: bool = False, waiting: bool = False) -> Erased:
    return Erased(invoices=invoices, documents=documents, letters=0, more=more, waiting=waiting)


def of(id_: str, government_id: str, email: str = "") -> Debt:
    return replace(debt(id_), government_id=government_id, email=email or f"{id_}@example.org")


@pytest.fixture
def documents() -> InMemoryDocuments:
    return InMemoryDocuments()


@pytest.fixture
def erasure(rig: Rig, documents: InMemoryDocuments) -> InvoiceErasure:
    return InvoiceErasure(rig.erasures, documents)


async def test_nothing_personal_is_left_of_a_debtor(
    rig: Rig, erasure: InvoiceErasure, documents: InMemoryDocuments
) -> None:
    await rig.invoices.register("e1", [of("d1", "11"), of("d2", "22"), of("d3", "11"), of("d4", "11")])
    claimed = {one.debt.id: one for one in await claim(rig)}
    await documents.put("o", b"aabbcc")
    places = {"d1": Place(object="o", offset=0, length=2), "d2": Place(object="o", offset=2, length=2)}
    await rig.invoices.stored([(claimed[id_], place) for id_, place in places.items()])
    await rig.invoices.change([Mailed(invoice=claimed["d1"])])
    await rig.invoices.change([Mailed(invoice=claimed["d3"], failure=BUSY)])
    assert await erasure.erase(DebtorData(government_id="11")) == erased(3, 1)
    assert await erasure.erase(DebtorData(government_id="11")) == erased(0)
    assert await documents.get("o") == b"\x00\x00bbcc"
    for id_, state in (("d1", InvoiceState.MAILED), ("d3", InvoiceState.CANCELLED), ("d4", InvoiceState.CANCELLED)):
        found = await rig.invoices.get(id_)
        assert (found.state, found.error, found.place) == (state, "", None)
        assert (found.debt.name, found.debt.government_id, found.debt.email) == ("", "", "")
    assert (await rig.invoices.get("d2")).debt == of("d2", "22")
    assert await retry(rig) == 0
    rig.advance(1000)
    assert [one.debt.id for one in await claim(rig)] == ["d2"]
    # Whatever is decided about it later brings nothing back.
    assert await rig.decisions.decide(DebtDecision(debt=of("d4", "11"), version=9, closed=False))
    assert (await rig.invoices.get("d4")).state is InvoiceState.CANCELLED
    told = [(one.debt, one.state) for one in await rig.told_invoices() if one.debt in ("d1", "d4")]
    assert told == [("d1", "STORED"), ("d1", "MAILED"), ("d4", "CANCELLED")]


class Away(InMemoryDocuments):
    """A store that does not answer any more."""

    async def get(self, name: str) -> bytes | None:
        raise Unavailable("away")


async def test_nothing_is_forgotten_before_the_pdf_is_gone(rig: Rig) -> None:
    await rig.invoices.register("e1", [of("d1", "11")])
    [claimed] = await claim(rig)
    await rig.invoices.stored([(claimed, Place(object="o", offset=0, length=2))])
    with pytest.raises(Unavailable):
        await InvoiceErasure(rig.erasures, Away()).erase(DebtorData(government_id="11"))
    found = await rig.invoices.get("d1")
    assert (found.debt.name, found.place) == ("José", Place(object="o", offset=0, length=2))


async def test_by_address_whatever_its_case_and_by_debt_and_file(rig: Rig, erasure: InvoiceErasure) -> None:
    await rig.invoices.register("e1", [of("d1", "11", "Ann@Example.org"), of("d2", "22"), of("d3", "33")])
    assert await erasure.erase(DebtorData(email="ann@example.ORG")) == erased()
    assert await erasure.erase(DebtorData(debts={"d2": "f0", "d3": ""})) == erased()
    assert await erasure.erase(DebtorData(debts={"d2": "f1"})) == erased()


async def test_nothing_comes_of_a_debt_that_is_still_on_its_way(rig: Rig, erasure: InvoiceErasure) -> None:
    assert await erasure.erase(DebtorData(debts={"d1": "f1", "d2": ""})) == erased(0)
    assert await rig.invoices.register("e1", [debt("d1"), debt("d2")]) == 1
    assert [one.debt.id for one in await claim(rig)] == ["d2"]
    # The debt of a later file is another one.
    assert await rig.invoices.register("e2", [debt("d1", debt_file="f2")]) == 1


async def test_an_e_mail_in_dialogue_ends_first_and_is_the_last(rig: Rig, erasure: InvoiceErasure) -> None:
    await rig.invoices.register("e1", [debt()])
    [claimed] = await claim(rig)
    await rig.invoices.stored([(claimed, Place(object="o", offset=0, length=2))])
    await rig.invoices.change([Sending(claimed)])
    assert await erasure.erase(DebtorData(debts={"d1": "f1"})) == erased(0, waiting=True)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY, wait=SOON)])
    rig.advance(2)
    [claimed] = await claim(rig)
    assert await rig.invoices.change([Sending(claimed)]) == [False]
    assert (await erasure.erase(DebtorData(debts={"d1": "f1"}))).invoices == 1


async def test_many_are_erased_in_pieces(rig: Rig, erasure: InvoiceErasure) -> None:
    await rig.invoices.register("e1", [of(f"d{number}", "11") for number in range(25)])
    assert await erasure.erase(DebtorData(government_id="11")) == erased(20, more=True)
    assert await erasure.erase(DebtorData(government_id="11")) == erased(5)


async def test_dead_letters_hold_nothing_any_more(rig: Rig, erasure: InvoiceErasure) -> None:
    if not isinstance(rig, PostgresRig):
        return  # in memory they have left
    letters = PostgresDeadLetters(rig.database, rig.clock, "tocsin/tests", SOON)
    abouts = [f"{INVOICE_LETTERS}d1", f"{INVOICE_LETTERS}d12"]
    await letters.keep([replace(LETTER, name=about, about=about) for about in abouts])
    await rig.invoices.register("e1", [debt("d1")])
    assert (await erasure.erase(DebtorData(debts={"d1": ""}))).letters == 1
    left = await letters.page(LetterFilter(state=LetterState.OPEN), before=None, limit=9)
    assert [one.about for one in left] == abouts[1:]
