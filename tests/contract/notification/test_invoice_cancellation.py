"""A debt file that is rolled back takes its invoices along: the same suite in memory and on PostgreSQL."""

import asyncio

from services.notification.application.claimed_delivery import Mailed, Sending
from services.notification.domain.invoice import InvoiceState
from tests.contract.notification.conftest import Rig
from tests.contract.notification.test_invoice_store import DOUBT, PLACE, claim, debt


async def states(rig: Rig, *debts: str) -> list[InvoiceState]:
    return [(await rig.invoices.get(one)).state for one in debts]


async def test_what_has_not_gone_out_is_taken_back_and_the_rest_is_kept(rig: Rig) -> None:
    ids = [f"d{number}" for number in range(6)]
    await rig.invoices.register("e1", [debt(id_) for id_ in ids])
    await rig.invoices.register("e2", [debt("other", debt_file="f2")])
    claimed = {one.debt.id: one for one in await claim(rig)}
    await rig.invoices.stored([(claimed[id_], PLACE) for id_ in ids[1:]])
    # d0 waits for its PDF, d1 for its e-mail, d2 has failed; d3 is mailed, d4 in dialogue, of d5 nobody knows.
    for id_, ends in (("d3", None), ("d5", DOUBT)):
        await rig.invoices.change([Sending(claimed[id_])])
        wait = None if ends is None else rig.clock.time - rig.clock.time
        await rig.invoices.change([Mailed(invoice=claimed[id_], failure=ends, wait=wait)])
    assert await rig.invoices.change([Sending(claimed["d4"])]) == [True]
    assert await rig.invoices.in_dialogue("f1")
    assert not await rig.invoices.in_dialogue("f2")
    # Newest first; all of one moment by their ids.
    assert await rig.invoices.cancel("f1", "", 2) == "d1"
    assert await rig.invoices.cancel("f1", "d1", 9) == "d0"
    assert await rig.invoices.cancel("f1", "d0", 9) == ""
    assert await rig.invoices.cancel("f1", "", 9) == ""
    assert await states(rig, "d0", "d1", "d2", "other") == [InvoiceState.CANCELLED] * 3 + [InvoiceState.PENDING]
    kept = list(await rig.invoices.kept("f1", "", 9))
    assert sorted(kept) == ["d3", "d4", "d5"]
    assert list(await rig.invoices.kept("f1", kept[0], 1)) == [kept[1]]
    assert list(await rig.invoices.kept("f1", kept[2], 9)) == []
    # Whoever held them may not send them any more.
    assert await rig.invoices.change([Sending(claimed["d1"])]) == [False]
    assert await rig.invoices.change([Mailed(invoice=claimed["d4"])]) == [True]
    assert not await rig.invoices.in_dialogue("f1")
    assert dict(await rig.invoices.counts("f1")) == {
        InvoiceState.CANCELLED: 3,
        InvoiceState.MAILED: 2,
        InvoiceState.STORED: 1,
    }
    assert sum((await rig.invoices.counts("")).values()) == 7


async def test_debts_that_come_later_lead_to_no_invoice(rig: Rig) -> None:
    assert await rig.invoices.cancel("f1", "", 9) == ""
    assert await rig.invoices.register("e1", [debt("d1"), debt("d2", debt_file="f2")]) == 1
    assert dict(await rig.invoices.counts("f1")) == {}


async def test_a_debt_that_another_file_registers_has_a_new_invoice(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt("d1")])
    await rig.invoices.cancel("f1", "", 9)
    assert await claim(rig) == []
    rig.advance(1)
    assert await rig.invoices.register("e2", [debt("d1", debt_file="f2")]) == 1
    found = await rig.invoices.get("d1")
    assert (found.state, found.debt.debt_file, found.created_at) == (InvoiceState.PENDING, "f2", rig.clock.time)
    assert [one.debt.id for one in await claim(rig)] == ["d1"]
    assert await rig.invoices.register("e3", [debt("d1", debt_file="f3")]) == 0


async def test_registered_at_the_same_time(rig: Rig) -> None:
    async def cancelled() -> None:
        after = ""
        while after := await rig.invoices.cancel("f1", after, 3):
            pass

    registered = [rig.invoices.register(f"e{number}", [debt(f"d{number}")]) for number in range(20)]
    await asyncio.gather(*registered[:10], cancelled(), *registered[10:])
    await cancelled()
    assert set(await rig.invoices.counts("f1")) <= {InvoiceState.CANCELLED}
    assert await claim(rig) == []
