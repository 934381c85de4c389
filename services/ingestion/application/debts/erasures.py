"""Erasing the personal data of debtors: invoices first, so that nothing is sent, then debts, then rejected rows."""

import asyncio
from datetime import timedelta
from functools import partial

from services.chassis.auth import principal
from services.chassis.errors import DomainError
from services.chassis.paging import Page, PageTokens, fetch_page
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.ports import DebtErasureStore, InvoiceErasure, RejectKey
from services.ingestion.domain.debts.erasure import Erasure, Wanted

log = get_logger(__name__)
_AT_ONCE = 500
"""Debts at a time."""
_RUNNING = 16
"""Erasures that are gone on with at a time."""
_PATIENCE = timedelta(seconds=5)
"""How long a call waits for an erasure."""


class DebtErasures:
    """The use case; `close` it when the process stops. `finish` goes on with what broke off."""

    def __init__(self, store: DebtErasureStore, invoices: InvoiceErasure) -> None:
        self._store, self._invoices = store, invoices
        self._tasks: dict[str, asyncio.Task[Erasure]] = {}

    async def erase(self, wanted: Wanted, note: str) -> Erasure:
        """The record. What takes long goes on behind the answer, and by itself after whatever breaks it off."""
        erasure = await self._store.begin(wanted, principal.current().subject, note)
        task = self._running(erasure)
        await asyncio.wait([task], timeout=_PATIENCE.total_seconds())
        # What broke off is gone on with: it is no failure of the call.
        return task.result() if task.done() and not task.exception() else await self._store.get(erasure.id)

    async def get(self, erasure_id: str) -> Erasure:
        """Raises ResourceNotFound."""
        return await self._store.get(erasure_id)

    async def list(self, size: int, token: str) -> Page[Erasure]:
        """Newest first."""
        tokens = PageTokens("debt_erasures")
        position = tokens.read(token, (str,))
        before = str(position[0]) if position else None
        return await fetch_page(
            tokens, size, lambda limit: self._store.newest(before, limit), lambda erasure: (erasure.id,)
        )

    async def finish(self, every: timedelta = timedelta(seconds=5)) -> None:
        """Goes on, for ever, with erasures that broke off, whichever process had begun them."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                for erasure in await self._store.running(_RUNNING):
                    self._running(erasure)
            except DomainError as error:
                log.warning("debts.erasures_not_looked_after", error=repr(error))

    async def close(self) -> None:
        """Breaks erasures off."""
        for task in list(self._tasks.values()):
            await cancel(task)

    def _running(self, erasure: Erasure) -> asyncio.Task[Erasure]:
        if (task := self._tasks.get(erasure.id)) is None:
            task = asyncio.create_task(self._erase(erasure), name=f"erasure {erasure.id}")
            self._tasks[erasure.id] = task
            task.add_done_callback(partial(self._ended, erasure.id))
        return task

    async def _erase(self, erasure: Erasure) -> Erasure:
        wanted = erasure.wanted
        if wanted is None:
            return erasure
        while True:
            debts = await self._store.debts(wanted, _AT_ONCE)
            async for counts in self._invoices.erase(wanted, debts):
                await self._store.count(erasure.id, counts)
            await self._store.erase_debts(erasure, list(debts))
            # Invoices may have been erased of debts that were registered in the meantime: none is erased by half.
            if len(debts) < _AT_ONCE and not await self._store.debts(wanted, 1):
                break
        after: RejectKey | None = None
        while True:
            found = await self._store.rejects(erasure.id, after)
            await self._store.erase_rejects(erasure.id, found.rows)
            if (after := found.next) is None:
                break
        done = await self._store.complete(erasure.id)
        log.info(
            "debts.erased",
            erasure=done.id,
            by=done.by,
            kind=done.kind.value,
            debts=done.counts.debts,
            rejects=done.counts.rejects,
            invoices=done.counts.invoices,
        )
        return done

    def _ended(self, erasure_id: str, task: asyncio.Task[Erasure]) -> None:
        del self._tasks[erasure_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("debts.erasure_broke_off", erasure=erasure_id, error=repr(error))
