"""What has become of a debt: by its invoice, or because a person has said so."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final


class DebtStatus(enum.IntEnum):
    """What has become of a debt. The numbers are those of the contract, and stored."""

    REGISTERED = 1
    INVOICED = 2
    MAILED = 3
    PAID = 4
    CANCELLED = 5
    FAILED = 6


DECIDED: Final = frozenset({DebtStatus.PAID, DebtStatus.CANCELLED})
"""A person has said so: what becomes of the invoice changes it no more."""

WAITING: Final = frozenset({DebtStatus.REGISTERED, DebtStatus.INVOICED, DebtStatus.FAILED})
"""Its e-mail is still to go out, which it does not for a debt of a file that was rolled back."""

ROLLBACK: Final = "ROLLBACK"
"""Of a debt that a rollback has left, because its invoice is out."""
REGISTRATION: Final = "REGISTERED"

_BY_INVOICE: Final = {
    "PENDING": DebtStatus.REGISTERED,
    "STORED": DebtStatus.INVOICED,
    "MAILED": DebtStatus.MAILED,
    "FAILED": DebtStatus.FAILED,
    # A person has decided about its debt, and what that person says holds; without it the invoice is still to be made.
    "CANCELLED": DebtStatus.REGISTERED,
}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """An entry of a debt's history: the status, since when, the person who has said so (empty: nobody), the event that
    it follows from, and a note."""

    status: DebtStatus
    time: datetime
    by: str = ""
    event: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceChange:
    """What is heard of the invoice of a debt. Of two of one invoice that with the higher version is newer."""

    debt: str
    debt_file: str
    version: int
    change: StatusChange


def invoice_change(state: str, time: datetime, code: str, *, doubtful: bool) -> StatusChange | None:
    """The status of a debt whose invoice is in this state; None for a state that is not known here. An e-mail that may
    have been taken counts as one that was, while nobody has given it up."""
    status = _BY_INVOICE.get(state)
    if status is None:
        return None
    if doubtful and status is DebtStatus.INVOICED:
        return StatusChange(DebtStatus.MAILED, time, event="INVOICE_DOUBTFUL", note=code)
    if doubtful and state == "CANCELLED":
        status = DebtStatus.MAILED  # nobody hopes for another e-mail, and that one may be out
    return StatusChange(status, time, event=f"INVOICE_{state}", note=code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person says of a debt: that it is PAID or CANCELLED, or REGISTERED, which is neither any more.
    `expected_version`: of the debt that the person has seen; 0 for any."""

    debt: str
    status: DebtStatus
    by: str
    note: str = ""
    expected_version: int = 0


def decided(said: DebtStatus, current: DebtStatus, kept: Iterable[StatusChange]) -> DebtStatus | None:
    """The status that follows for a debt with these changes, the current one where nothing changes; None where a
    person cannot say so: what is paid is not cancelled before it is neither any more."""
    if said is DebtStatus.REGISTERED:
        return _by_invoice(kept) if current in DECIDED else current
    if said is DebtStatus.CANCELLED and current is DebtStatus.PAID:
        return None
    return said


def _by_invoice(kept: Iterable[StatusChange]) -> DebtStatus:
    told = [one for one in kept if not one.by]
    return max(told, key=lambda one: one.time).status if told else DebtStatus.REGISTERED


def history(create_time: datetime, kept: Iterable[StatusChange]) -> Sequence[StatusChange]:
    """All changes, oldest first, from the registration on, which nobody keeps as the debt itself tells of it. Each has
    the status in which the debt was then: what a person has said holds until a person says something else."""
    told = [StatusChange(DebtStatus.REGISTERED, create_time, event=REGISTRATION)]
    for one in sorted(kept, key=lambda one: one.time):
        held = told[-1].status in DECIDED and not one.by
        told.append(replace(one, status=told[-1].status) if held else one)
    return told
