"""`DebtDecisions`: the same suite in memory and on PostgreSQL."""

import pytest

from services.notification.application.claimed_delivery import Mailed, Sending
from services.notification.domain.invoice import DebtDecision, InvoiceState
from tests.contract.notification.conftest import BUSY, Rig
from tests.contract.notification.test_invoice_changes import SOON
from tests.contract.notification.test_invoice_store import DOUBT, claim, debt, retry, stored


def decision(version: int, *, closed: bool = True, id_: str = "d1", debt_file: str = "f1") -> DebtDecision:
    return DebtDecision(debt=debt(id_, debt_file=debt_file), version=version, closed=closed)


async def state(rig: Rig) -> InvoiceState:
    return (await rig.invoices.get("d1")).state


async def test_what_is_closed_sends_no_mail_and_goes_on_when_it_is_not_any_more(rig: Rig) -> None:
    claimed = await stored(rig)
    assert await rig.decisions.decide(decision(2))
    assert await state(rig) is InvoiceState.CANCELLED
    assert await rig.invoices.change([Sending(claimed)]) == [False]
    rig.advance(1000)
    assert await claim(rig) == []
    assert await rig.invoices.register("e2", [debt()]) == 0  # the same event comes again
    assert await rig.decisions.decide(decision(2))  # and so does this
    assert await rig.decisions.decide(decision(3, closed=False))
    [claimed] = await claim(rig)
    assert (claimed.state, claimed.attempts) == (InvoiceState.STORED, 0)
    assert await rig.invoices.change([Sending(claimed)]) == [True]
    told = [(one.version, one.state) for one in await rig.told_invoices()]
    assert told == [(2, "STORED"), (3, "CANCELLED"), (4, "STORED")]


async def test_the_newest_decision_holds_whatever_the_order(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt()])
    assert await rig.decisions.decide(decision(5, closed=False))
    assert await rig.decisions.decide(decision(4))
    assert await state(rig) is InvoiceState.PENDING
    assert await rig.decisions.decide(decision(6))
    assert await rig.decisions.decide(decision(5, closed=False))
    assert await state(rig) is InvoiceState.CANCELLED


@pytest.mark.parametrize("closed", [True, False])
async def test_a_decision_may_come_before_its_debt(rig: Rig, closed: bool) -> None:
    assert await rig.decisions.decide(decision(3, closed=closed))
    assert await rig.decisions.decide(decision(2, closed=not closed))
    assert await rig.invoices.register("e1", [debt()]) == 0
    assert await state(rig) is (InvoiceState.CANCELLED if closed else InvoiceState.PENDING)
    assert len(await claim(rig)) == (not closed)


async def test_the_debt_of_a_later_file_is_another_one(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt()])
    await rig.decisions.decide(decision(2))
    assert await rig.invoices.register("e2", [debt(debt_file="f2")]) == 1
    # What was said of the earlier one comes late.
    assert await rig.decisions.decide(decision(3))
    assert await state(rig) is InvoiceState.PENDING
    await rig.invoices.cancel("f2", "", 9)
    assert await rig.decisions.decide(decision(2, debt_file="f3"))
    assert await rig.invoices.register("e3", [debt(debt_file="f3")]) == 0
    assert await state(rig) is InvoiceState.CANCELLED
    # A file that was rolled back leads to nothing.
    assert await rig.decisions.decide(decision(9, closed=False, id_="d9", debt_file="f2"))
    assert [one.debt.id for one in await claim(rig)] == []


async def test_what_is_mailed_stays_so(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.change([Mailed(invoice=claimed)])
    for version in (2, 3):
        assert await rig.decisions.decide(decision(version, closed=version == 2))
        assert await state(rig) is InvoiceState.MAILED
    assert await claim(rig) == []


async def test_an_e_mail_in_dialogue_ends_first(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.change([Sending(claimed)])
    assert not await rig.decisions.decide(decision(2))
    assert await state(rig) is InvoiceState.STORED
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY, wait=SOON)])
    rig.advance(2)
    [claimed] = await claim(rig)
    # Nobody begins another one before the decision has come again.
    assert await rig.invoices.change([Sending(claimed)]) == [False]
    assert await rig.decisions.decide(decision(2))
    assert await state(rig) is InvoiceState.CANCELLED


async def test_what_may_have_arrived_is_not_sent_again_and_is_kept_by_a_rollback(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.change([Sending(claimed), Mailed(invoice=claimed, failure=DOUBT, wait=SOON)])
    assert await rig.decisions.decide(decision(2))
    found = await rig.invoices.get("d1")
    assert (found.state, found.doubtful) == (InvoiceState.CANCELLED, True)
    assert await rig.invoices.cancel("f1", "", 9) == ""
    assert list(await rig.invoices.kept("f1", "", 9)) == ["d1"]


async def test_what_was_given_up_is_not_tried_again(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    assert await rig.decisions.decide(decision(2))
    assert await state(rig) is InvoiceState.CANCELLED
    assert await retry(rig) == 0
