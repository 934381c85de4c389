"""A few e-mails of invoices on their way over one connection."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import ClaimedInvoice
from services.notification.application.ports.deliveries import Meter
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent
from services.notification.domain.invoice import Debt

log = get_logger(__name__)

Compose = Callable[[Debt, bytes], Mail]
"""The e-mail of a debt with its PDF."""
Ready = tuple[ClaimedInvoice, bytes]
"""An invoice with its PDF."""


class HandOver:
    """Which e-mails have been asked for, and what became of them. `concluded` hears the outcome of each but one that
    says that the server is away: that is no attempt."""

    def __init__(
        self,
        ready: Sequence[Ready],
        compose: Compose,
        concluded: Callable[[ClaimedInvoice, Outcome], None],
        meter: Meter,
    ) -> None:
        self._waiting = deque(ready)
        self._begun: deque[tuple[ClaimedInvoice, float]] = deque()
        self._compose = compose
        self._concluded = concluded
        self._meter = meter
        self._stopped = False
        self.away: Failure | None = None
        """Why the server takes no e-mails at all."""

    def left(self) -> list[ClaimedInvoice]:
        """Takes out those that surely nobody has been given."""
        left = [invoice for invoice, _ in self._waiting]
        self._waiting.clear()
        return left

    def stop(self) -> None:
        """Begins no more of them."""
        self._stopped = True

    def mails(self) -> Iterator[Mail]:
        """The e-mails, each composed when it is asked for."""
        while self._waiting and not self._stopped:
            invoice, pdf = self._waiting[0]
            if invoice.doubtful:
                self._meter.repeated("invoices.mail")
                log.warning("invoice.repeated", debt=invoice.debt.id)
            try:
                mail = self._compose(invoice.debt, pdf)
            except Exception as error:
                self._waiting.popleft()
                self._concluded(invoice, _defect(invoice, error))
                continue
            self._waiting.popleft()
            self._begun.append((invoice, time.perf_counter()))
            yield mail

    def told(self, outcome: Outcome) -> None:
        """What became of the one that was begun first."""
        invoice, began = self._begun.popleft()
        error = "" if isinstance(outcome, Sent) else outcome.text
        self._meter.observe("invoices.mail", time.perf_counter() - began, error=error)
        if isinstance(outcome, Failure) and outcome.away:
            self.away = outcome
            self._waiting.appendleft((invoice, b""))
            return
        self._concluded(invoice, outcome)

    def broken(self, error: Exception) -> None:
        """A defect has ended the dialogue."""
        while self._begun:
            invoice, _ = self._begun.popleft()
            self._concluded(invoice, _defect(invoice, error))


def _defect(invoice: ClaimedInvoice, error: Exception) -> Failure:
    log.error("invoices.mailer_defect", debt=invoice.debt.id, exc_info=error)
    return Failure(kind=FailureKind.TRANSIENT, code="DEFECT", message=type(error).__name__)
