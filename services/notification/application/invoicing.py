"""From a registered debt to one PDF and one e-mail: renders and keeps PDFs in batches, mails them one by one.

Each step is written down before the next begins, so that a crash repeats a step and never skips one:

    PENDING --(PDF durable in the store)--> STORED --(`sending` committed, mail server took it)--> MAILED

Rendering twice makes the same bytes, and only the committed place counts. Of mailing, `invoice_mailing` tells.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import ClaimedInvoice, InvoiceClaims
from services.notification.application.invoice_blocks import block
from services.notification.application.invoice_mailing import InvoiceMailing
from services.notification.application.invoice_work import InvoiceWork
from services.notification.application.ports.deliveries import Meter
from services.notification.application.ports.invoices import DocumentStore, Renderer, RendererEnded, RenderFailed
from services.notification.domain.delivery import Failure, FailureKind
from services.notification.domain.invoice import Debt, InvoiceState, Pdf

log = get_logger(__name__)
_PAUSE_AFTER_FAILURE = 0.5
_EXAMPLE = Debt(
    id="1",
    debt_file="1",
    name="1",
    government_id="1",
    email="",
    amount="1.00",
    due_date="2026-12-31",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicingOptions:
    """`batch` invoices are claimed and rendered at a time."""

    batch: int = 200
    poll: timedelta = timedelta(seconds=5)


class Invoicing:
    """Works off invoices. Without a mail server PDFs are made, and e-mails wait until there is one."""

    def __init__(
        self,
        work: InvoiceWork,
        documents: DocumentStore,
        renderer: Renderer,
        mailing: InvoiceMailing | None,
        options: InvoicingOptions,
        meter: Meter,
    ) -> None:
        self._work = work
        self._documents = documents
        self._renderer = renderer
        self._mailing = mailing
        self._options = options
        self._meter = meter
        self._woken = asyncio.Event()

    def poke(self) -> None:
        """Makes it look for invoices now."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes the e-mails in dialogue and hands back the rest."""
        making = asyncio.create_task(self._make_all(), name="invoices")
        leases = asyncio.create_task(self._work.keep_leases(), name="invoice leases")
        mailing = None
        if self._mailing is not None:
            mailing = asyncio.create_task(self._mailing.run(), name="invoice mailing")
        stopped = asyncio.create_task(stop.wait(), name="invoices stop")
        tasks = [task for task in (making, leases, mailing, stopped) if task is not None]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            await cancel(making, stopped)
            if mailing is not None:
                mailing.cancel()  # once: it ends when its e-mails in dialogue have
                await asyncio.wait([mailing])
            await cancel(leases)
            if mailing is not None and not mailing.cancelled():
                mailing.result()

    async def _make_all(self) -> None:
        while True:
            self._woken.clear()
            try:
                claims = await self._claim()
                if claims.claimed:
                    await self._handle(claims.claimed)
                    continue
            except DomainError as error:
                log.warning("invoices.postponed", error=repr(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
                continue
            pause = self._mailing.pause if self._mailing is not None else None
            due = min(claims.next_due or self._options.poll, pause or self._options.poll, self._options.poll)
            try:
                async with asyncio.timeout(max(due.total_seconds(), 0.005)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _claim(self) -> InvoiceClaims:
        """What is due. While the mail server is away only what is to be rendered, and now and again one e-mail."""
        mailing = self._mailing
        if mailing is None or mailing.pause:
            return await self._work.claim(self._options.batch, mail=False)
        return await self._work.claim(1 if mailing.away else self._options.batch, mail=True)

    async def _handle(self, claimed: Sequence[ClaimedInvoice]) -> None:
        remaining = {invoice.debt.id: invoice for invoice in claimed}
        try:
            if self._mailing is not None:
                doubted = [invoice for invoice in claimed if invoice.crashed]
                for invoice in doubted:
                    del remaining[invoice.debt.id]
                await self._mailing.doubt(doubted)
            pending = [invoice for invoice in remaining.values() if invoice.state is InvoiceState.PENDING]
            ready = await self._make(pending)
            ready += await self._fetch([i for i in remaining.values() if i.state is InvoiceState.STORED])
            if self._mailing is None:
                await self._work.release([invoice for invoice, _ in ready])
                return
            made = {invoice.debt.id for invoice, _ in ready}
            remaining = {id_: invoice for id_, invoice in remaining.items() if id_ in made}
            for invoice, pdf in ready:
                await self._mailing.put(invoice, pdf)
                del remaining[invoice.debt.id]
        except (DomainError, asyncio.CancelledError):
            await asyncio.shield(self._work.release(list(remaining.values())))
            raise

    async def _make(self, pending: Sequence[ClaimedInvoice]) -> list[tuple[ClaimedInvoice, bytes]]:
        """Renders and keeps the PDFs; what cannot be rendered is given up."""
        if not pending:
            return []
        began = time.perf_counter()
        rendered = await self._render(pending)
        if not rendered:
            return []
        name = new_id()
        content, places = block(name, [pdf for _, pdf in rendered])
        await self._documents.put(name, content)
        await self._work.stored([(invoice, place) for (invoice, _), place in zip(rendered, places, strict=True)])
        each = (time.perf_counter() - began) / len(rendered)
        for _ in rendered:
            self._meter.observe("invoices.pdf", each)
        return [(invoice, pdf.content) for invoice, pdf in rendered]

    async def _render(self, pending: Sequence[ClaimedInvoice]) -> list[tuple[ClaimedInvoice, Pdf]]:
        answers: Sequence[Pdf | RenderFailed]
        try:
            answers = await self._renderer.render([invoice.debt for invoice in pending])
        except RendererEnded as error:
            if len(pending) > 1:
                # One of them may have ended the renderer, and must not hold the others up.
                return [pair for invoice in pending for pair in await self._render([invoice])]
            # A renderer that can draw nothing is one fault of its own, not one of each invoice.
            await self._renderer.render([_EXAMPLE])
            answers = [RenderFailed(error.message)]
        rendered: list[tuple[ClaimedInvoice, Pdf]] = []
        failed: list[tuple[ClaimedInvoice, Failure]] = []
        for invoice, answer in zip(pending, answers, strict=True):
            if isinstance(answer, RenderFailed):
                failure = Failure(kind=FailureKind.PERMANENT, code="RENDER_FAILED", message=str(answer))
                self._meter.observe("invoices.pdf", 0.0, error=failure.text)
                failed.append((invoice, failure))
            else:
                rendered.append((invoice, answer))
        await self._work.give_up(failed)
        return rendered

    async def _fetch(self, stored: Sequence[ClaimedInvoice]) -> list[tuple[ClaimedInvoice, bytes]]:
        """PDFs that were kept before; rendered anew where the store has let them expire."""
        found: list[tuple[ClaimedInvoice, bytes]] = []
        expired: list[ClaimedInvoice] = []
        objects: dict[str, bytes | None] = {}
        for invoice in stored:
            place = invoice.place
            if place is not None and place.object not in objects:
                objects[place.object] = await self._documents.get(place.object)
            content = objects[place.object] if place is not None else None
            if place is None or content is None:
                expired.append(invoice)
            else:
                found.append((invoice, place.cut(content)))
        if expired:
            found += [(invoice, pdf.content) for invoice, pdf in await self._render(expired)]
        return found
