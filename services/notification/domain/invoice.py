"""An invoice: what a registered debt leads to. One PDF and one e-mail, whatever crashes."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


class InvoiceState(enum.StrEnum):
    """Where an invoice stands."""

    PENDING = "PENDING"
    """The debt is known; the PDF is to be made."""
    STORED = "STORED"
    """The PDF is kept; the e-mail is to be sent."""
    MAILED = "MAILED"
    """The mail server took the e-mail."""
    FAILED = "FAILED"
    """The e-mail was given up; it is in the dead letters."""
    CANCELLED = "CANCELLED"
    """It was taken back before its e-mail had gone out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """A registered debt. `amount` is a decimal, `due_date` and `issued` (when it became known) are ISO 8601. `currency`
    and `language` are empty where the debt names none; an empty `issuer` is the first one of the deployment."""

    id: str
    debt_file: str
    name: str
    government_id: str
    email: str
    amount: str
    due_date: str
    currency: str = ""
    language: str = ""
    issuer: str = ""
    issued: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Pdf:
    """A PDF in two parts: a beginning that it shares with others, with nothing of its debt in it (empty where there is
    none), and the rest."""

    shared: bytes
    own: bytes

    @property
    def content(self) -> bytes:
        """The file."""
        return self.shared + self.own


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a PDF is kept: its own part is a slice of an object in the store, and so is what it shares with others."""

    object: str
    offset: int
    length: int
    shared_offset: int = 0
    shared_length: int = 0

    def cut(self, content: bytes) -> bytes:
        """The PDF, out of the object."""
        shared = content[self.shared_offset : self.shared_offset + self.shared_length]
        return shared + content[self.offset : self.offset + self.length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """An invoice as it is kept."""

    debt: Debt
    state: InvoiceState
    attempts: int
    error: str
    created_at: datetime
    mailed_at: datetime | None = None
    place: Place | None = None
    next_attempt_at: datetime | None = None
    """When the e-mail is tried again, after it could not be sent."""
    doubtful: bool = False
    """Whether an e-mail may have been taken without a word, so that it may have arrived twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """An invoice that has come to another state, as others are told. A higher `version` is newer; `code` is what
    failed, if anything has; `doubtful` as in Invoice."""

    debt: str
    debt_file: str
    version: int
    state: InvoiceState
    doubtful: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtDecision:
    """What a person has decided about a debt: `closed` (paid, or cancelled), or not any more. A higher `version` of the
    same debt and file is newer."""

    debt: Debt
    version: int
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtorData:
    """Whose personal data is meant: of these debts (id and file; an empty file is any), or of the debtor with this
    government id or (where that is empty) this e-mail address, whatever its case."""

    debts: Mapping[str, str] = field(default_factory=dict[str, str])
    government_id: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What a piece of an erasure has erased: invoices, their PDFs and dead letters. `more`: there are others;
    `waiting`: an e-mail of one is being handed over, whose end comes first."""

    invoices: int
    documents: int
    letters: int
    more: bool
    waiting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices are to be tried again: FAILED ones, or STORED ones that wait for their next attempt. Empty values
    do not limit; `code` is how the typed code at the beginning of the error begins. Those made from `since` on, and
    before `until`."""

    state: InvoiceState = InvoiceState.FAILED
    debt: str = ""
    debt_file: str = ""
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None
