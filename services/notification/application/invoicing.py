"""From a registered debt to one PDF and one e-mail: renders and keeps PDFs in batches, mails them one by one.

Each step is written down before the next begins, so that a crash repeats a step and never skips one:

    PENDING --(PDF durable in the store)--> STORED --(`sending` committed, mail server took it)--> MAILED

Rendering twice makes the same bytes, and only the committed place counts. Mailing twice is what SMTP cannot rule out: a
process that dies between the mail server's yes and our commit leaves an invoice marked `sending`. The mark is committed
for each e-mail right before its dialogue, so only e-mails in dialogue at the crash are in doubt; `UnknownOutcome`
decides on which side to err, and the Message-ID is derived from the debt, so that a second copy is recognised as the
same mail.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.ids import new_id
from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import ClaimedInvoice, InvoiceChange, Mailed, Sending
from services.notification.application.endpoints import is_email
from services.notification.application.ports.deliveries import Meter
from services.notification.application.ports.invoices import (
    DocumentStore,
    InvoiceStore,
    Mail,
    Mailer,
    Renderer,
    RenderFailed,
)
from services.notification.domain.delivery import Failure, FailureKind, Sent, UnknownOutcome
from services.notification.domain.invoice import Debt, InvoiceState, Place
from services.notification.domain.retry_schedule import RetrySchedule

log = get_logger(__name__)
_PAUSE_AFTER_FAILURE = 0.5

Compose = Callable[[Debt, bytes], Mail]
"""The e-mail of a debt with its PDF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicingOptions:
    """`batch` invoices are claimed and rendered at a time, `mailers` e-mails are in dialogue at a time."""

    schedule: RetrySchedule = field(default_factory=RetrySchedule)
    unknown: UnknownOutcome = UnknownOutcome.RESEND
    batch: int = 200
    mailers: int = 16
    poll: timedelta = timedelta(seconds=5)
    stop_budget: timedelta = timedelta(seconds=8)


class Invoicing:
    """Works off invoices. Without a mailer PDFs are made, and e-mails wait until there is one."""

    def __init__(
        self,
        store: InvoiceStore,
        documents: DocumentStore,
        renderer: Renderer,
        mailer: Mailer | None,
        compose: Compose,
        changing: GroupCommit[InvoiceChange, bool],
        options: InvoicingOptions,
        meter: Meter,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._documents = documents
        self._renderer = renderer
        self._mailer = mailer
        self._compose = compose
        self._changing = changing
        self._options = options
        self._meter = meter
        self._randomness = randomness
        self._woken = asyncio.Event()
        self._queue: asyncio.Queue[tuple[ClaimedInvoice, bytes]] = asyncio.Queue(maxsize=options.batch)

    def poke(self) -> None:
        """Makes it look for invoices now."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes the e-mails in dialogue and hands back the rest."""
        mailers = [
            asyncio.create_task(self._mail_all(), name=f"invoice mailer {number}")
            for number in range(self._options.mailers if self._mailer is not None else 0)
        ]
        work = asyncio.create_task(self._work(), name="invoices")
        stopped = asyncio.create_task(stop.wait(), name="invoices stop")
        try:
            done, _ = await asyncio.wait([work, stopped, *mailers], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.wait([work, stopped])
            waiting = self._drain()
            if mailers:
                for task in mailers:
                    # An idle mailer ends here; one in dialogue finishes it first.
                    task.cancel("stop")
                await asyncio.wait(mailers, timeout=self._options.stop_budget.total_seconds())
            if waiting:
                await self._store.release(waiting)

    def _drain(self) -> list[ClaimedInvoice]:
        waiting: list[ClaimedInvoice] = []
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait()[0])
        return waiting

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            try:
                claims = await self._store.claim(self._options.batch, mail=self._mailer is not None)
                if claims.claimed:
                    await self._handle(claims.claimed)
                    continue
            except DomainError as error:
                log.warning("invoices.postponed", error=repr(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
                continue
            due = self._options.poll if claims.next_due is None else min(claims.next_due, self._options.poll)
            try:
                async with asyncio.timeout(max(due.total_seconds(), 0.005)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def _handle(self, claimed: Sequence[ClaimedInvoice]) -> None:
        remaining = {invoice.debt.id: invoice for invoice in claimed}
        try:
            held = [invoice for invoice in claimed if invoice.unknown and self._options.unknown is UnknownOutcome.HOLD]
            for invoice in held:
                del remaining[invoice.debt.id]
            await asyncio.gather(*(self._give_up(invoice, _in_doubt()) for invoice in held))
            pending = [invoice for invoice in remaining.values() if invoice.state is InvoiceState.PENDING]
            ready = await self._make(pending)
            ready += await self._fetch([i for i in remaining.values() if i.state is InvoiceState.STORED])
            if self._mailer is None:
                await self._store.release([invoice for invoice, _ in ready])
                return
            made = {invoice.debt.id for invoice, _ in ready}
            remaining = {id_: invoice for id_, invoice in remaining.items() if id_ in made}
            for invoice, pdf in ready:
                await self._queue.put((invoice, pdf))
                del remaining[invoice.debt.id]
        except (DomainError, asyncio.CancelledError):
            if remaining:
                await asyncio.shield(self._store.release(list(remaining.values())))
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
        places: list[tuple[ClaimedInvoice, Place]] = []
        offset = 0
        for invoice, pdf in rendered:
            places.append((invoice, Place(object=name, offset=offset, length=len(pdf))))
            offset += len(pdf)
        # One object for the batch: an object of its own for each PDF would cost two durable writes each.
        await self._documents.put(name, b"".join(pdf for _, pdf in rendered))
        await self._store.stored(places)
        each = (time.perf_counter() - began) / len(rendered)
        for _ in rendered:
            self._meter.observe("invoices.pdf", each)
        return rendered

    async def _render(self, pending: Sequence[ClaimedInvoice]) -> list[tuple[ClaimedInvoice, bytes]]:
        try:
            pdfs = await self._renderer.render([invoice.debt for invoice in pending])
            return list(zip(pending, pdfs, strict=True))
        except RenderFailed as error:
            if len(pending) > 1:
                # One bad debt must not hold the others up.
                return [pair for invoice in pending for pair in await self._render([invoice])]
            failure = Failure(kind=FailureKind.PERMANENT, code="RENDER_FAILED", message=str(error))
            self._meter.observe("invoices.pdf", 0.0, error=failure.text)
            await self._give_up(pending[0], failure)
            return []

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
                found.append((invoice, content[place.offset : place.offset + place.length]))
        if expired:
            found += await self._render(expired)
        return found

    async def _mail_all(self) -> None:
        """Mails what is ready, one after another. A cancellation takes effect between two e-mails."""
        while True:
            invoice, pdf = await self._queue.get()
            mailing = asyncio.ensure_future(self._mail(invoice, pdf))
            try:
                await asyncio.shield(mailing)
            except asyncio.CancelledError:
                await mailing
                raise

    async def _mail(self, invoice: ClaimedInvoice, pdf: bytes) -> None:
        assert self._mailer is not None
        began = time.perf_counter()
        if not is_email(invoice.debt.email):
            bad = Failure(
                kind=FailureKind.PERMANENT, code="ADDRESS_INVALID", message="no address that can be mailed to"
            )
            await self._give_up(invoice, bad)
            return
        if not await self._change(Sending(invoice)):
            return
        if invoice.unknown:
            self._meter.repeated("invoices.mail")
            log.warning("invoice.repeated", debt=invoice.debt.id)
        try:
            outcome = await self._mailer.send(self._compose(invoice.debt, pdf))
        except Exception as error:
            log.exception("invoices.mailer_defect", debt=invoice.debt.id)
            outcome = Failure(kind=FailureKind.TRANSIENT, code="DEFECT", message=type(error).__name__)
        error = "" if isinstance(outcome, Sent) else outcome.text
        self._meter.observe("invoices.mail", time.perf_counter() - began, error=error)
        if isinstance(outcome, Sent):
            await self._change(Mailed(invoice=invoice))
            return
        if outcome.critical:
            log.critical("delivery.operator_needed", code=outcome.code, error=outcome.message, channel="EMAIL")
        if outcome.unknown and self._options.unknown is UnknownOutcome.HOLD:
            await self._give_up(invoice, outcome)
            return
        wait = None
        if outcome.kind is not FailureKind.PERMANENT:
            wait = self._options.schedule.wait(
                invoice.attempts + 1, asked=outcome.asked, floor=outcome.floor, randomness=self._randomness()
            )
        if wait is None:
            await self._give_up(invoice, outcome)
            return
        log.warning("invoice.mail_failed", debt=invoice.debt.id, code=outcome.code, wait=round(wait.total_seconds(), 3))
        await self._change(Mailed(invoice=invoice, failure=outcome, wait=wait))

    async def _give_up(self, invoice: ClaimedInvoice, failure: Failure) -> None:
        log.error("invoice.given_up", debt=invoice.debt.id, code=failure.code, attempts=invoice.attempts + 1)
        await self._change(Mailed(invoice=invoice, failure=failure))

    async def _change(self, change: InvoiceChange) -> bool:
        while True:
            try:
                return await self._changing.submit(change)
            except (Aborted, Unavailable):
                if isinstance(change, Sending):
                    return False  # nothing was sent yet: the lease brings it back
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)


def _in_doubt() -> Failure:
    return Failure(
        kind=FailureKind.PERMANENT,
        code="OUTCOME_UNKNOWN",
        message="a process ended while it handed the e-mail over; it may have been taken",
        unknown=True,
    )
