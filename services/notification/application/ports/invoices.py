"""Invoices, from a debt to a mail with a PDF."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from services.chassis.errors import Unavailable
from services.notification.application.claimed_delivery import ClaimedInvoice, InvoiceChange, InvoiceClaims
from services.notification.application.ports.notifications import Position
from services.notification.domain.delivery import Outcome
from services.notification.domain.invoice import (
    Debt,
    DebtDecision,
    DebtorData,
    Erased,
    Invoice,
    InvoiceFilter,
    InvoiceState,
    Pdf,
    Place,
)

_PATH = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+", re.ASCII)


class InvoiceStore(Protocol):
    """Invoices and their state machine."""

    async def register(self, event: str, debts: Sequence[Debt]) -> int:
        """Makes an invoice for each debt that has none, due now; how many. An event (its id) has its effect once."""
        ...

    async def cancel(self, debt_file: str, after: str, limit: int) -> str:
        """CANCELLED are up to `limit` invoices of the file whose e-mail has not gone out and cannot have, newest first,
        behind that of the debt `after` (empty: from the first); the debt of the last of them, empty when there is none
        left. From the first call on no debt of the file leads to an invoice. A debt whose invoice is CANCELLED gets a
        new one when another file registers it."""
        ...

    async def in_dialogue(self, debt_file: str) -> bool:
        """Whether an e-mail of the file is being handed over at this moment."""
        ...

    async def kept(self, debt_file: str, after: str, limit: int) -> Sequence[str]:
        """Debts of the file whose invoices are not CANCELLED, newest first, behind this one (empty: from the first)."""
        ...

    async def counts(self, debt_file: str) -> Mapping[InvoiceState, int]:
        """Invoices by state, of one file or (empty) of all."""
        ...

    async def retry(self, wanted: InvoiceFilter, limit: int, by: str) -> int:
        """Up to `limit` of them, the oldest first, are due now: FAILED ones with attempts from zero; how many. Their
        open dead letters are RETRIED, by `by`. What is being worked on is left out."""
        ...

    async def count(self, wanted: InvoiceFilter, limit: int) -> int:
        """How many `retry` would find, up to `limit`."""
        ...

    async def claim(self, limit: int, *, mail: bool) -> InvoiceClaims:
        """Claims what is due; invoices whose e-mail is due only with `mail`."""
        ...

    async def stored(self, places: Sequence[tuple[ClaimedInvoice, Place]]) -> None:
        """The PDFs are kept: PENDING becomes STORED, still claimed. A lease taken over is left alone."""
        ...

    async def change(self, changes: Sequence[InvoiceChange]) -> Sequence[bool]:
        """Writes all in one transaction; False where the lease was taken over."""
        ...

    async def renew(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """Their leases begin anew; those taken over are left alone."""
        ...

    async def release(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """Hands back what was claimed and not sent since; what was in doubt before is in doubt still."""
        ...

    async def get(self, debt: str) -> Invoice:
        """Raises InvoiceNotFound."""
        ...

    async def page(
        self, *, debt_file: str, state: InvoiceState | None, limit: int, after: Position | None
    ) -> Sequence[Invoice]:
        """Up to `limit` invoices, newest first, after the position."""
        ...

    async def knows_file(self, debt_file: str) -> bool:
        """Whether there is an invoice from this debt file."""
        ...


class DebtDecisions(Protocol):
    """What people decide about debts."""

    async def decide(self, decision: DebtDecision) -> bool:
        """No e-mail is handed over for a debt that is closed, and its invoice is CANCELLED, unless it is MAILED; that
        of a debt that is not closed any more goes on where it was. The newest decision holds, whatever the order in
        which they come, and before the debt itself has come, too. False while an e-mail is being handed over: decide
        again when that has ended."""
        ...


class InvoiceErasures(Protocol):
    """The personal data of debtors in invoices."""

    async def erase(
        self, wanted: DebtorData, limit: int, overwrite: Callable[[Sequence[Place]], Awaitable[None]]
    ) -> Erased:
        """Erases up to `limit` invoices: whose they were, their PDFs (which `overwrite` overwrites before, nobody else
        doing so at the time), the texts of their failures and their dead letters. What is not MAILED is CANCELLED and
        stays so, and nothing comes of debts whose registration is still on its way."""
        ...


class DocumentStore(Protocol):
    """Keeps PDFs for a time; several together in one object."""

    async def put(self, name: str, content: bytes) -> None:
        """Returns once it is durable. Raises Unavailable."""
        ...

    async def get(self, name: str) -> bytes | None:
        """None when it is not there (any more). Raises Unavailable."""
        ...


class RenderFailed(Exception):
    """The renderer could not make the PDF."""


class RendererEnded(Unavailable):
    """The renderer itself has failed: one of the debts may have ended it, or there is no room for it."""


class Renderer(Protocol):
    """Makes PDFs, off the event loop."""

    async def render(self, debts: Sequence[Debt]) -> Sequence[Pdf | RenderFailed]:
        """A PDF for each debt, the same bytes for the same debt, or why it has none. Raises
        RendererEnded."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """An e-mail ready to be handed over; `sender` is empty where it is the deployment's. Reports of its fate shall call
    it by `envelope_id` (RFC 3461); empty where none are asked for. Raises ValueError for what no command of SMTP may
    hold."""

    recipient: str
    sender: str = ""
    envelope_id: str = ""
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not all(map(_PATH.fullmatch, (self.recipient, self.sender or "-", self.envelope_id or "-"))):
            raise ValueError("the address holds characters that no command of SMTP may have")


class Mailer(Protocol):
    """Hands e-mails to the mail server."""

    async def send(self, mail: Mail) -> Outcome:
        """One attempt, bounded in time."""
        ...


class BulkMailer(Protocol):
    """Hands many e-mails to the mail server."""

    async def send_all(self, mails: Iterator[Mail], told: Callable[[Outcome], None]) -> None:
        """One attempt for each, one after another. An e-mail is asked for right before its dialogue begins, and `told`
        hears what became of each as soon as that is known, in their order. Ends when there are none, and behind an
        outcome that is `away`."""
        ...
