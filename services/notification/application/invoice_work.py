"""The invoices that this process works on: their leases go on for as long as it does, and what became of them is
written down."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import (
    ClaimedInvoice,
    Deferred,
    InvoiceChange,
    InvoiceClaims,
    Mailed,
    Sending,
)
from services.notification.application.ports.invoices import InvoiceStore
from services.notification.domain.delivery import Failure
from services.notification.domain.invoice import Place

log = get_logger(__name__)
_PAUSE_AFTER_FAILURE = 0.5
_UNWRITABLE = "DEFECT"


class InvoiceWork:
    """Claims, and what follows from them. An e-mail may wait minutes for the mail server's word, and a lease is much
    shorter, so that what a killed process had claimed goes on within seconds: `keep_leases` renews those in hand."""

    def __init__(self, store: InvoiceStore, changing: GroupCommit[InvoiceChange, bool], lease: timedelta) -> None:
        self._store = store
        self._changing = changing
        self._renew_every = lease.total_seconds() / 3
        self._in_hand: dict[tuple[str, str], tuple[ClaimedInvoice, float]] = {}
        """By debt and lease, and since when."""

    async def claim(self, limit: int, *, mail: bool) -> InvoiceClaims:
        """See InvoiceStore."""
        claims = await self._store.claim(limit, mail=mail)
        now = asyncio.get_running_loop().time()
        self._in_hand |= {(one.debt.id, one.lease): (one, now) for one in claims.claimed}
        return claims

    async def stored(self, places: Sequence[tuple[ClaimedInvoice, Place]]) -> None:
        """See InvoiceStore."""
        await self._store.stored(places)

    async def sending(self, invoice: ClaimedInvoice) -> bool:
        """Its e-mail is about to be handed over. Otherwise it is not ours any more, or that cannot be written: then it
        comes back by its lease."""
        try:
            ours = await self._changing.submit(Sending(invoice))
        except (Aborted, Unavailable):
            ours = False
        if not ours:
            self._drop([invoice])
        return ours

    async def ended(self, change: InvoiceChange) -> None:
        """Writes down what became of it, however often that takes: late beats sending twice."""
        while True:
            try:
                await self._changing.submit(change)
            except (Aborted, Unavailable):
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            except Exception:
                # A defect of this one must not end the work on the others.
                log.exception("invoice.outcome_not_written", debt=change.invoice.debt.id)
                if (plain := _plain(change)) is None:
                    self._drop([change.invoice])  # it comes back by its lease
                    return
                change = plain
            else:
                self._drop([change.invoice])
                return

    async def give_up(self, invoice: ClaimedInvoice, failure: Failure) -> None:
        """No further attempt: it is FAILED, and in the dead letters."""
        log.error("invoice.given_up", debt=invoice.debt.id, code=failure.code, attempts=invoice.attempts + 1)
        await self.ended(Mailed(invoice=invoice, failure=failure))

    async def release(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """Hands back what was not sent."""
        if invoices:
            await self._store.release(invoices)
            self._drop(invoices)

    async def keep_leases(self) -> None:
        """Renews the leases of what is in hand, for ever."""
        while True:
            await asyncio.sleep(self._renew_every)
            now = asyncio.get_running_loop().time()
            # What was claimed just now is mostly done before its turn comes.
            old = [one for one, since in self._in_hand.values() if now - since >= self._renew_every]
            try:
                if old:
                    await self._store.renew(old)
            except DomainError as error:
                log.warning("invoices.leases_not_renewed", invoices=len(old), error=repr(error))

    def _drop(self, invoices: Sequence[ClaimedInvoice]) -> None:
        for one in invoices:
            self._in_hand.pop((one.debt.id, one.lease), None)


def _plain(change: InvoiceChange) -> InvoiceChange | None:
    """The same outcome without what was said of it; None where nothing was, or that has been left out already."""
    if not isinstance(change, Mailed | Deferred) or change.failure is None or change.failure.code == _UNWRITABLE:
        return None
    return replace(change, failure=replace(change.failure, code=_UNWRITABLE, message=""))
