"""What is told of invoices that come to another state: the same suite in memory and on PostgreSQL."""

from datetime import timedelta

from services.notification.application.claimed_delivery import Deferred, Mailed, Sending
from services.notification.domain.invoice import InvoiceState, StateChange
from tests.contract.notification.conftest import BUSY, Rig
from tests.contract.notification.test_invoice_store import DOUBT, claim, debt, retry, stored

SOON = timedelta(seconds=1)


async def told(rig: Rig) -> list[tuple[str, int, str, bool, str]]:
    return [(one.debt, one.version, one.state, one.doubtful, one.code) for one in await rig.told_invoices()]


async def test_each_step_is_told_and_what_is_none_is_not(rig: Rig) -> None:
    claimed = await stored(rig)
    # An attempt that failed, and one that was not made, change nothing of the state.
    await rig.invoices.change([Sending(claimed)])
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY, wait=SOON)])
    rig.advance(2)
    [claimed] = await claim(rig)
    await rig.invoices.change([Deferred(invoice=claimed, failure=BUSY, wait=SOON)])
    rig.advance(2)
    [claimed] = await claim(rig)
    await rig.invoices.change([Mailed(invoice=claimed)])
    await rig.invoices.change([Mailed(invoice=claimed)])
    assert await told(rig) == [("d1", 2, "STORED", False, ""), ("d1", 3, "MAILED", False, "")]


async def test_what_may_have_been_taken_is_told_once(rig: Rig) -> None:
    claimed = await stored(rig)
    for _ in range(2):
        await rig.invoices.change([Sending(claimed), Mailed(invoice=claimed, failure=DOUBT, wait=SOON)])
        rig.advance(2)
        [claimed] = await claim(rig)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    assert await told(rig) == [
        ("d1", 2, "STORED", False, ""),
        ("d1", 3, "STORED", True, "CUT"),
        ("d1", 4, "FAILED", True, "HTTP_503"),
    ]


async def test_what_is_tried_again_is_told(rig: Rig) -> None:
    claimed = await stored(rig)
    await rig.invoices.register("e2", [debt("d2")])
    [pending] = await claim(rig)
    await rig.invoices.change([Mailed(invoice=one, failure=BUSY) for one in (claimed, pending)])
    assert await retry(rig) == 2
    # Both are due already.
    await claim(rig)
    assert await retry(rig, state=InvoiceState.STORED) == 0
    assert await told(rig) == [
        ("d1", 2, "STORED", False, ""),
        ("d1", 3, "FAILED", False, "HTTP_503"),
        ("d1", 4, "STORED", False, ""),
        ("d2", 2, "FAILED", False, "HTTP_503"),
        ("d2", 3, "PENDING", False, ""),
    ]


async def test_of_a_file_that_is_rolled_back_nothing_is_told_and_versions_go_on(rig: Rig) -> None:
    await stored(rig)
    await rig.invoices.cancel("f1", "", 9)
    await rig.invoices.register("e2", [debt("d1", debt_file="f2")])
    [claimed] = await claim(rig)
    await rig.invoices.change([Mailed(invoice=claimed, failure=BUSY)])
    assert await rig.told_invoices() == [
        StateChange(debt="d1", debt_file="f1", version=2, state=InvoiceState.STORED),
        StateChange(debt="d1", debt_file="f2", version=4, state=InvoiceState.FAILED, code="HTTP_503"),
    ]
