"""E-mails invoices, several at a time, for as long as the mail server takes any.

A mail server that cannot be reached is one fault of the channel, not one of each invoice: then nothing is sent but one
e-mail now and again, to see whether it is back, and no attempt is counted. What it refuses for now is tried again for
days, as RFC 5321 (4.5.4.1) asks, each invoice by its own schedule.

Mailing twice is what SMTP cannot rule out. That e-mails are about to be handed over is committed right before their
dialogue, a few of one connection at a time, so that after a crash only those are in doubt. What is in doubt waits for
some minutes, for the server may still be at it; then it is sent again with the same Message-ID, once: in doubt for the
second time it is held for a person. Or it is held at once.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.chassis.telemetry.metrics import gauge
from services.notification.application.claimed_delivery import ClaimedInvoice, Deferred, InvoiceChange, Mailed
from services.notification.application.endpoints import is_email
from services.notification.application.invoice_handover import Compose, HandOver, Ready
from services.notification.application.invoice_work import InvoiceWork, Writing
from services.notification.application.ports.deliveries import Meter
from services.notification.application.ports.invoices import BulkMailer
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent, UnknownOutcome
from services.notification.domain.errors import MailServerAway
from services.notification.domain.retry_schedule import RetrySchedule

log = get_logger(__name__)
_paused = gauge("tocsin_invoice_mail_paused", "Whether no invoice is mailed because the mail server is away.")

_AWAY = Failure(kind=FailureKind.TRANSIENT, code="MAIL_SERVER_AWAY", message="", away=True)
_IN_DOUBT = Failure(
    kind=FailureKind.TRANSIENT,
    code="OUTCOME_UNKNOWN",
    message="a process ended while it handed the e-mail over; it may have been taken",
    unknown=True,
)
_NO_ADDRESS = Failure(kind=FailureKind.PERMANENT, code="ADDRESS_INVALID", message="no address that can be mailed to")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailingOptions:
    """`mailers` connections at a time, each with up to `together` e-mails one after another; up to `waiting` are ready
    for them; at a stop those in dialogue have `stop_budget` to end. An outcome that nobody knows waits at least
    `unknown_wait` to be sent again. A mail server that is away is left alone for `pause` at first, at most for
    `longest_pause`."""

    schedule: RetrySchedule
    unknown: UnknownOutcome = UnknownOutcome.RESEND
    unknown_wait: timedelta = timedelta(minutes=10)
    mailers: int = 16
    together: int = 2
    waiting: int = 200
    stop_budget: timedelta = timedelta(seconds=8)
    pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=30)


class InvoiceMailing:
    """The mailers of this process, and what waits for them."""

    def __init__(
        self,
        mailer: BulkMailer,
        compose: Compose,
        work: InvoiceWork,
        options: MailingOptions,
        meter: Meter,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._mailer = mailer
        self._compose = compose
        self._work = work
        self._options = options
        self._meter = meter
        self._randomness = randomness
        self._queue: asyncio.Queue[Ready] = asyncio.Queue(maxsize=options.waiting)
        self._breaker = CircuitBreaker(
            MailServerAway, MailServerAway, hold_off=options.pause, longest=options.longest_pause
        )
        self._told_away = False
        self._handovers: set[HandOver] = set()

    @property
    def pause(self) -> timedelta:
        """For how long nothing is mailed; zero while the server is there, and when it is time to see whether it is."""
        return self._breaker.pause

    @property
    def away(self) -> bool:
        """Whether the server is taken to be away: one e-mail is enough to see whether it is back."""
        return self._breaker.is_open

    async def put(self, invoice: ClaimedInvoice, pdf: bytes) -> None:
        """Takes it over; returns once there is room for it."""
        await self._queue.put((invoice, pdf))

    async def run(self) -> None:
        """Mails until it is cancelled, then finishes the e-mails in dialogue and hands back the rest."""
        mailers = [
            asyncio.create_task(self._mail_all(), name=f"invoice mailer {number}")
            for number in range(self._options.mailers)
        ]
        try:
            done, _ = await asyncio.wait(mailers, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for handover in self._handovers:
                handover.stop()
            left: list[ClaimedInvoice] = []
            while not self._queue.empty():
                left.append(self._queue.get_nowait()[0])
            for task in mailers:
                # An idle mailer ends here; one in dialogue finishes it first.
                task.cancel()
            _, late = await asyncio.wait(mailers, timeout=self._options.stop_budget.total_seconds())
            await cancel(*late)
            await self._work.release(left)

    async def _mail_all(self) -> None:
        """Mails what is ready. A first cancellation takes effect between two e-mails."""
        while True:
            group = [await self._queue.get()]
            # No more than its share: nothing waits behind a slow e-mail while another connection has nothing to do.
            share = -(-self._queue.qsize() // self._options.mailers)
            while len(group) < min(share, self._options.together) and not self._queue.empty():
                group.append(self._queue.get_nowait())
            mailing = asyncio.ensure_future(self._mail(group))
            try:
                await asyncio.shield(mailing)
            except asyncio.CancelledError:
                await mailing
                raise

    async def _mail(self, group: Sequence[Ready]) -> None:
        ready = [one for one in group if is_email(one[0].debt.email)]
        if len(ready) < len(group):
            await self._work.give_up([(one, _NO_ADDRESS) for one, _ in group if not is_email(one.debt.email)])
        if self.pause:
            await self._defer([invoice for invoice, _ in ready], _AWAY)
            return
        ours = await self._work.sending([invoice for invoice, _ in ready])
        writing = Writing(self._work)
        handover = HandOver(
            [one for one, mine in zip(ready, ours, strict=True) if mine],
            self._compose,
            lambda invoice, outcome: writing.put(self._conclusion(invoice, outcome)),
            self._meter,
        )
        self._handovers.add(handover)
        try:
            async with writing, self._breaker.attempt():
                await self._hand_over(handover)
        except MailServerAway as error:
            await self._defer(handover.left(), replace(_AWAY, message=error.message))
        finally:
            self._handovers.discard(handover)
            await self._work.release(handover.left())

    async def _hand_over(self, handover: HandOver) -> None:
        try:
            await self._mailer.send_all(handover.mails(), handover.told)
        except Exception as error:
            handover.broken(error)
        if handover.away is not None:
            self._tell_away(handover.away)
            raise MailServerAway(handover.away.text)
        self._tell_back()

    async def doubt(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """A process had ended while it handed their e-mails over."""
        await self._work.ended([self._conclusion(invoice, _IN_DOUBT) for invoice in invoices])

    def _conclusion(self, invoice: ClaimedInvoice, outcome: Outcome) -> InvoiceChange:
        """What follows from an attempt: sent, tried again, or given up."""
        if isinstance(outcome, Sent):
            return Mailed(invoice=invoice)
        if outcome.critical:
            log.critical("delivery.operator_needed", code=outcome.code, error=outcome.message, channel="EMAIL")
        wait = self._wait(invoice, outcome)
        if wait is None:
            log.error("invoice.given_up", debt=invoice.debt.id, code=outcome.code, attempts=invoice.attempts + 1)
        else:
            log.warning(
                "invoice.mail_failed", debt=invoice.debt.id, code=outcome.code, wait=round(wait.total_seconds(), 3)
            )
        return Mailed(invoice=invoice, failure=outcome, wait=wait)

    def _wait(self, invoice: ClaimedInvoice, failure: Failure) -> timedelta | None:
        held = self._options.unknown is UnknownOutcome.HOLD or invoice.doubtful
        if failure.hopeless or (failure.unknown and held):
            return None
        floor = failure.floor or timedelta(0)
        return self._options.schedule.wait(
            invoice.attempts + 1,
            asked=failure.asked,
            floor=max(floor, self._options.unknown_wait) if failure.unknown else floor,
            randomness=self._randomness(),
        )

    async def _defer(self, invoices: Sequence[ClaimedInvoice], failure: Failure) -> None:
        wait = max(self.pause, self._options.pause)
        await self._work.ended([Deferred(invoice=invoice, failure=failure, wait=wait) for invoice in invoices])

    def _tell_away(self, failure: Failure) -> None:
        if not self._told_away:
            self._told_away = True
            _paused.set(1)
            tell = log.critical if failure.critical else log.error
            tell("invoices.mail_paused", code=failure.code, error=failure.message)

    def _tell_back(self) -> None:
        if self._told_away:
            self._told_away = False
            _paused.set(0)
            log.info("invoices.mail_resumed")
