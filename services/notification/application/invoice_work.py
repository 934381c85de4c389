"""The invoices that this process works on: their leases go on for as long as it does, and what became of them is
written down."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from types import TracebackType
from typing import Self

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


Changing = GroupCommit[Sequence[InvoiceChange], Sequence[bool]]
"""Writes changes down, those of several at a time in one transaction; False where the lease was taken over."""


def changing(store: InvoiceStore) -> Changing:
    """On a store."""

    async def flush(groups: Sequence[Sequence[InvoiceChange]]) -> Sequence[Sequence[bool]]:
        done = iter(await store.change([change for group in groups for change in group]))
        return [list(islice(done, len(group))) for group in groups]

    # A mailer waits for two commits around each of its groups: no commit should wait for another as well.
    patience = timedelta(milliseconds=3)
    return GroupCommit("invoices", flush, limit=100, lanes=3, patience=patience, keep_abandoned=True)


class InvoiceWork:
    """Claims, and what follows from them. An e-mail may wait minutes for the mail server's word, and a lease is much
    shorter, so that what a killed process had claimed goes on within seconds: `keep_leases` renews those in hand."""

    def __init__(self, store: InvoiceStore, changing: Changing, lease: timedelta) -> None:
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

    async def sending(self, invoices: Sequence[ClaimedInvoice]) -> Sequence[bool]:
        """Whether their e-mails may be handed over now. One may not that is not ours any more, or where that cannot be
        written down: then it comes back by its lease."""
        if not invoices:
            return []
        try:
            ours = await self._changing.submit([Sending(invoice) for invoice in invoices])
        except (Aborted, Unavailable):
            ours = [False] * len(invoices)
        self._drop([invoice for invoice, mine in zip(invoices, ours, strict=True) if not mine])
        return ours

    async def ended(self, changes: Sequence[InvoiceChange]) -> None:
        """Writes down what became of them, however often that takes: late beats sending twice."""
        while changes:
            try:
                await self._changing.submit(changes)
            except (Aborted, Unavailable):
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
                continue
            except Exception:
                # A defect of one must not end the work on the others.
                if len(changes) > 1:
                    for change in changes:
                        await self.ended([change])
                    return
                log.exception("invoice.outcome_not_written", debt=changes[0].invoice.debt.id)
                if plain := _plain(changes[0]):
                    changes = [plain]
                    continue  # else it comes back by its lease
            self._drop([change.invoice for change in changes])
            return

    async def give_up(self, invoices: Sequence[tuple[ClaimedInvoice, Failure]]) -> None:
        """No further attempts: they are FAILED, and in the dead letters."""
        for invoice, failure in invoices:
            log.error("invoice.given_up", debt=invoice.debt.id, code=failure.code, attempts=invoice.attempts + 1)
        await self.ended([Mailed(invoice=invoice, failure=failure) for invoice, failure in invoices])

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


class Writing:
    """Writes down what becomes of invoices while their e-mails go on. Left once all of it is written."""

    def __init__(self, work: InvoiceWork) -> None:
        self._work = work
        self._changes: list[InvoiceChange] = []
        self._news = asyncio.Event()
        self._left = False
        self._task: asyncio.Task[None] | None = None

    def put(self, change: InvoiceChange) -> None:
        """Takes it over."""
        self._changes.append(change)
        self._news.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._write(), name="invoice outcomes")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = True
        self._news.set()
        if self._task is not None:
            await self._task

    async def _write(self) -> None:
        while True:
            changes, self._changes = self._changes, []
            await self._work.ended(changes)
            if not self._changes:
                if self._left:
                    return
                self._news.clear()
                await self._news.wait()


def _plain(change: InvoiceChange) -> InvoiceChange | None:
    """The same outcome without what was said of it; None where nothing was, or that has been left out already."""
    if not isinstance(change, Mailed | Deferred) or change.failure is None or change.failure.code == _UNWRITABLE:
        return None
    return replace(change, failure=replace(change.failure, code=_UNWRITABLE, message=""))
