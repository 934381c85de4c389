"""Erasing the personal data of debtors."""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.ingestion.domain.debts import csv_record, texts
from services.ingestion.domain.debts.debt_status import DECIDED, DebtStatus, StatusChange

_SURE: Final = re.compile("[a-z0-9]+")


class ErasureKind(enum.Enum):
    """By what the debtors are found."""

    DEBTS = "DEBTS"
    GOVERNMENT_ID = "GOVERNMENT_ID"
    EMAIL = "EMAIL"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose data is meant: ids of debts, or one government id or e-mail address (whatever its case)."""

    kind: ErasureKind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErasedCounts:
    """What has been erased."""

    debts: int = 0
    rejects: int = 0
    invoices: int = 0
    documents: int = 0
    dead_letters: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The record of an erasure. `wanted` is None once it is done: nothing personal is left here either."""

    id: str
    kind: ErasureKind
    by: str
    note: str
    create_time: datetime
    complete_time: datetime | None
    counts: ErasedCounts
    wanted: Wanted | None = None


ERASED = "ERASED"
"""The event in the history of a debt."""


def erased_history(status: DebtStatus, kept: Iterable[StatusChange], by: str, now: datetime) -> list[StatusChange]:
    """The history of a debt whose data is erased: without notes of people, who may have named the debtor; at its end
    the status from now on. What was not mailed and not decided about is CANCELLED, as nobody can be written to."""
    ended = status if status in DECIDED or status is DebtStatus.MAILED else DebtStatus.CANCELLED
    changes = [StatusChange(one.status, one.time, one.by, one.event, "" if one.by else one.note) for one in kept]
    return [*changes, StatusChange(ended, now, by, ERASED)]


def holds(raw: str, delimiter: str, signs: frozenset[str]) -> bool:
    """Whether a field of a rejected row is one of the signs (case-folded), or an address among them stands anywhere in
    it: fields are not what they seem where quotes are out of place."""
    if any(texts.normal(part).casefold() in signs for part in csv_record.parts(raw, delimiter or ",")):
        return True
    text = raw.casefold()
    return any(re.search(rf"(?<![\w.+-]){re.escape(sign)}(?![\w-]|\.\w)", text) for sign in signs if "@" in sign)


def trace(sign: str) -> str:
    """What a row that holds the sign surely has in it, in small letters: what may be written otherwise in a file (marks
    apart from letters, quotes doubled) is left out."""
    if sign.isascii() and '"' not in sign:
        return sign.lower()
    return max(_SURE.findall(sign.lower()), key=len, default="")
