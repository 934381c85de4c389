"""`InvoiceStore`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.notification.application.claimed_delivery import ClaimedInvoice, Deferred, InvoiceClaims, Mailed, Sending
from services.notification.domain.delivery import Failure, FailureKind
from services.notification.domain.errors import InvoiceNotFound
from services.notification.domain.invoice import Debt, Invoice, InvoiceFilter, InvoiceState, Place
from services.notification.domain.notification import HISTORY_LIMIT
from tests.contract.notification.conftest import BUSY, LEASE, Rig

PLACE = Place(object="o", offset=3, length=5, shared_offset=1, shared_length=2)
DOUBT = Failure(kind=FailureKind.TRANSIENT, code="CUT", message="the line went dead", unknown=True)


def debt(id_: str = "d1", *, debt_file: str = "f1") -> Debt:
    return Debt(
        id=id_,
        debt_file=debt_file,
        name="José",
        government_id="1",
        email=f"{id_}@example.org",
        amount="1.00",
        due_date="2026-12-24",
    )


async def retry(rig: Rig, **more: Any) -> int:
    return await rig.invoices.retry(InvoiceFilter(**more), 100, "ann")


async def claim(rig: Rig, *, mail: bool = True) -> list[ClaimedInvoice]:
    return list((await rig.invoices.claim(100, mail=mail)).claimed)


async def stored(rig: Rig, id_: str = "d1") -> ClaimedInvoice:
    """A claimed invoice whose PDF is kept."""
    await rig.invoices.register(f"of {id_}", [debt(id_)])
    [claimed] = await claim(rig)
    await rig.invoices.stored([(claimed, PLACE)])
    return claimed


async def test_a_debt_has_one_invoice_however_often_it_comes(rig: Rig) -> None:
    assert await rig.invoices.register("e1", [debt("d1"), debt("d2")]) == 2
    assert await rig.invoices.register("e1", [debt("d3")]) == 0
    rig.advance(1)
    assert await rig.invoices.register("e2", [debt("d2", debt_file="f2"), debt("d3")]) == 1
    assert await rig.invoices.register("e3", []) == 0
    found = await rig.invoices.get("d2")
    created = rig.clock.time - timedelta(seconds=1)
    assert found == Invoice(debt=debt("d2"), state=InvoiceState.PENDING, attempts=0, error="", created_at=created)
    for absent in ("nothing", ""):
        with pytest.raises(InvoiceNotFound):
            await rig.invoices.get(absent)


async def test_claims_at_once_share_the_work(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt(f"d{n}") for n in range(9)])
    claims = await asyncio.gather(*(rig.invoices.claim(4, mail=True) for _ in range(3)))
    found = [one.debt.id for claim_ in (*claims, await rig.invoices.claim(9, mail=True)) for one in claim_.claimed]
    assert sorted(found) == [f"d{n}" for n in range(9)]
    assert await rig.invoices.claim(4, mail=True) == InvoiceClaims((), LEASE)


async def test_the_oldest_goes_first(rig: Rig) -> None:
    for number in (2, 1, 3):
        await rig.invoices.register(f"e{number}", [debt(f"d{number}")])
        rig.advance(1)
    found = await rig.invoices.claim(2, mail=True)
    assert {one.debt.id for one in found.claimed} == {"d2", "d1"}


async def test_from_debt_to_mail(rig: Rig) -> None:
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), None)
    await rig.invoices.register("e1", [debt()])
    [claimed] = await claim(rig)
    assert claimed == ClaimedInvoice(debt=debt(), lease=claimed.lease, state=InvoiceState.PENDING, attempts=0)
    assert await rig.invoices.change([Sending(claimed)]) == [False]  # there is no PDF yet
    rig.advance(10)
    await rig.invoices.stored([(claimed, PLACE)])
    found = await rig.invoices.get("d1")
    assert (found.state, found.place) == (InvoiceState.STORED, PLACE)
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), LEASE)
    rig.advance(10)
    assert await rig.invoices.change([Sending(claimed)]) == [True]
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), LEASE)
    assert await rig.invoices.change([Mailed(invoice=claimed)]) == [True]
    found = await rig.invoices.get("d1")
    assert (found.state, found.attempts, found.error) == (InvoiceState.MAILED, 1, "")
    assert (found.mailed_at, found.place) == (rig.clock.time, PLACE)
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), None)
    assert await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)]) == [False]
    await rig.invoices.release([claimed])
    assert await claim(rig) == []
    assert await rig.letters() == []


async def test_without_mail_only_pdfs_are_due(rig: Rig) -> None:
    one = await stored(rig)
    await rig.invoices.release([one])
    assert await rig.invoices.claim(9, mail=False) == InvoiceClaims((), None)
    await rig.invoices.register("e2", [debt("d2")])
    [pending] = await claim(rig, mail=False)
    assert pending.debt.id == "d2"
    [claimed] = await claim(rig)
    assert (claimed.debt.id, claimed.state, claimed.place) == ("d1", InvoiceState.STORED, PLACE)


async def test_a_lease_that_ended_is_lost(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt()])
    [lost] = await claim(rig)
    rig.clock.time += LEASE
    [taken] = await claim(rig)
    assert (taken.crashed, taken.lease == lost.lease) == (False, False)
    await rig.invoices.stored([(lost, PLACE)])
    await rig.invoices.release([lost])
    assert (await rig.invoices.get("d1")).state is InvoiceState.PENDING
    assert await claim(rig) == []
    await rig.invoices.stored([(taken, PLACE)])
    # Both may report in one breath: only who holds the lease is heard.
    assert await rig.invoices.change([Sending(lost), Sending(taken)]) == [False, True]
    changes = [Mailed(invoice=lost, failure=BUSY), Mailed(invoice=taken), Mailed(invoice=lost)]
    assert await rig.invoices.change(changes) == [False, True, False]
    found = await rig.invoices.get("d1")
    assert (found.state, found.attempts) == (InvoiceState.MAILED, 1)


async def test_nobody_knows_how_a_dialogue_ended_that_a_crash_cut(rig: Rig) -> None:
    claimed = await stored(rig)
    assert await rig.invoices.change([Sending(claimed)]) == [True]
    rig.clock.time += LEASE
    [taken] = await claim(rig)
    assert (taken.crashed, taken.doubtful, taken.state) == (True, False, InvoiceState.STORED)
    await rig.invoices.release([taken])
    [taken] = await claim(rig)
    assert taken.crashed  # still nobody knows
    assert await rig.invoices.change([Mailed(invoice=taken, failure=DOUBT, wait=timedelta(0))]) == [True]
    [taken] = await claim(rig)
    assert (taken.crashed, taken.doubtful) == (False, True)
    assert await rig.invoices.change([Mailed(invoice=taken)]) == [True]
    assert (await rig.invoices.get("d1")).doubtful  # it may have arrived twice


async def test_what_was_about_to_be_sent_and_is_handed_back_is_in_no_doubt(rig: Rig) -> None:
    claimed = await stored(rig)
    assert await rig.invoices.change([Sending(claimed)]) == [True]
    assert await rig.invoices.in_dialogue("f1")
    await rig.invoices.release([claimed])
    assert not await rig.invoices.in_dialogue("f1")
    [taken] = await claim(rig)
    assert (taken.crashed, taken.doubtful, taken.attempts) == (False, False, 0)


async def test_failures_of_many_are_written_at_once_each_with_its_history(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt(f"d{n}") for n in range(3)])
    first = {one.debt.id: one for one in await claim(rig)}
    waits = [Mailed(invoice=one, failure=BUSY, wait=timedelta(0)) for one in first.values()]
    assert await rig.invoices.change(waits) == [True] * 3
    again = {one.debt.id: one for one in await claim(rig)}
    changes = [
        Mailed(invoice=again["d0"], failure=DOUBT, wait=timedelta(minutes=1)),
        Mailed(invoice=first["d1"], failure=BUSY),
        Mailed(invoice=again["d1"], failure=DOUBT),
        Mailed(invoice=again["d2"], failure=BUSY),
    ]
    assert await rig.invoices.change(changes) == [True, False, True, True]
    found = [await rig.invoices.get(f"d{n}") for n in range(3)]
    assert [(one.state.value, one.attempts, one.error, one.doubtful) for one in found] == [
        ("PENDING", 2, DOUBT.text, True),
        ("FAILED", 2, DOUBT.text, True),
        ("FAILED", 2, BUSY.text, False),
    ]
    letters = [("invoice/d1", [BUSY.code, DOUBT.code]), ("invoice/d2", [BUSY.code, BUSY.code])]
    assert sorted(await rig.letters()) == letters


async def test_a_lease_that_is_renewed_is_kept(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.register("e2", [debt("d2")])
    [other] = await claim(rig)
    rig.clock.time += LEASE / 2
    await rig.invoices.renew([claimed])
    rig.clock.time += LEASE / 2
    [taken] = await claim(rig)
    assert taken.debt.id == "d2"
    await rig.invoices.renew([other])  # somebody else's now
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), LEASE / 2)


async def test_what_is_deferred_has_used_no_attempt(rig: Rig) -> None:
    claimed = await stored(rig)
    assert await rig.invoices.change([Sending(claimed)]) == [True]
    away = Deferred(invoice=claimed, failure=BUSY, wait=timedelta(seconds=9))
    assert await rig.invoices.change([away, away]) in ([True, True], [True, False])
    found = await rig.invoices.get("d1")
    assert (found.state, found.attempts, found.error) == (InvoiceState.STORED, 0, "HTTP_503: busy")
    assert found.next_attempt_at == rig.clock.time + timedelta(seconds=9)
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), timedelta(seconds=9))
    rig.advance(9)
    [again] = await claim(rig)
    assert (again.crashed, again.doubtful, again.attempts) == (False, False, 0)
    assert (await rig.invoices.get("d1")).next_attempt_at is None  # it is being worked on
    assert await rig.invoices.change([away]) == [False]


async def test_tried_again_then_given_up_then_retried(rig: Rig) -> None:
    claimed = await stored(rig)
    assert not await retry(rig, debt="d1")
    for number in range(HISTORY_LIMIT + 1):
        await rig.invoices.change([Sending(claimed)])
        assert await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY, wait=timedelta(seconds=2))]) == [True]
        found = await rig.invoices.get("d1")
        assert (found.state, found.attempts) == (InvoiceState.STORED, number + 1)
        assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), timedelta(seconds=2))
        rig.advance(2)
        [claimed] = await claim(rig)
        assert claimed.attempts == number + 1
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    found = await rig.invoices.get("d1")
    assert (found.state, found.error) == (InvoiceState.FAILED, "HTTP_503: busy")
    assert await rig.letters() == [("invoice/d1", ["HTTP_503"] * HISTORY_LIMIT)]
    assert await rig.invoices.claim(9, mail=True) == InvoiceClaims((), None)
    assert await retry(rig, debt="d1") == 1
    assert await retry(rig, debt="d1") == 0
    assert await retry(rig, debt="nothing") == 0
    [claimed] = await claim(rig)
    assert (claimed.state, claimed.attempts, claimed.place, claimed.crashed) == (InvoiceState.STORED, 0, PLACE, False)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    assert (await rig.letters())[1:] == [("invoice/d1", ["HTTP_503"])]


async def test_what_could_not_be_drawn_is_drawn_again_when_retried(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt()])
    [claimed] = await claim(rig)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    assert await retry(rig, debt="d1") == 1
    [claimed] = await claim(rig, mail=False)
    assert claimed.state is InvoiceState.PENDING


async def test_many_are_retried_by_a_filter(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt(f"a{n}", debt_file="fa") for n in range(3)])
    rig.advance(1)
    since = rig.clock.time
    await rig.invoices.register("e2", [debt(f"b{n}", debt_file="fb") for n in range(3)])
    claimed = {one.debt.id: one for one in await claim(rig)}
    await rig.invoices.stored([(one, PLACE) for one in claimed.values()])
    failed = [Mailed(invoice=claimed[id_], failure=BUSY) for id_ in ("a0", "a1", "b0")]
    failed.append(Mailed(invoice=claimed["b1"], failure=DOUBT))
    waits = Mailed(invoice=claimed["a2"], failure=BUSY, wait=timedelta(hours=1))
    assert await rig.invoices.change([*failed, waits]) == [True] * 5

    async def count(**more: Any) -> int:
        return await rig.invoices.count(InvoiceFilter(**more), 9)

    assert await count() == 4
    assert await rig.invoices.count(InvoiceFilter(), 3) == 3
    assert await count(debt_file="fa") == await count(until=since) == 2
    assert await count(debt_file="fb", since=since, code="HTTP_5") == 1
    assert await count(code="CUT") == 1
    assert await count(debt_file="nonsense") == 0
    waiting = {"state": InvoiceState.STORED}
    assert await count(**waiting) == 1  # b2 is being worked on
    assert await retry(rig, **waiting) == 1
    assert await retry(rig, **waiting) == 0  # it is due
    assert await retry(rig, code="HTTP_5") == 3
    due = {one.debt.id: one for one in await claim(rig)}
    assert {id_: one.attempts for id_, one in due.items()} == {"a0": 0, "a1": 0, "b0": 0, "a2": 1}
    assert await count() == 1
    assert await rig.invoices.knows_file("fa")
    assert not await rig.invoices.knows_file("nonsense")


async def test_pages_are_newest_first_and_keep_to_what_was_asked(rig: Rig) -> None:
    await rig.invoices.register("e1", [debt(f"a{n}", debt_file="fa") for n in range(3)])
    rig.advance(1)
    await rig.invoices.register("e2", [debt("b0", debt_file="fb")])

    async def page(debt_file: str = "", state: InvoiceState | None = None, after: Invoice | None = None) -> list[str]:
        position = None if after is None else (after.created_at, after.debt.id)
        found = await rig.invoices.page(debt_file=debt_file, state=state, limit=2, after=position)
        return [one.debt.id for one in found]

    assert await page() == ["b0", "a2"]
    assert await page(after=await rig.invoices.get("a2")) == ["a1", "a0"]
    assert await page("fa") == ["a2", "a1"]
    assert await page("fa", after=await rig.invoices.get("a1")) == ["a0"]
    claimed = {one.debt.id: one for one in await claim(rig)}
    await rig.invoices.stored([(claimed["a1"], PLACE)])
    assert await page(state=InvoiceState.STORED) == ["a1"]
    assert await page("fb", InvoiceState.STORED) == []
