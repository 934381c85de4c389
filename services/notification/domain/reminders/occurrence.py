"""An occurrence of a reminder, and what is decided about it."""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.reminders.check import Answer, CheckOutcome, OnNoAnswer


class Decision(enum.StrEnum):
    """What becomes of an occurrence."""

    PENDING = "PENDING"
    SENT = "SENT"
    SKIPPED = "SKIPPED"
    HELD = "HELD"


OPEN = (Decision.PENDING, Decision.HELD)
"""What is not decided for good."""


class Reason(enum.StrEnum):
    """Why."""

    UNCHECKED = "UNCHECKED"
    """The reminder has no check."""
    NEEDED = "NEEDED"
    """The check said that it is not done."""
    DONE = "DONE"
    """The check said that it is done."""
    UNANSWERED = "UNANSWERED"
    """Nobody answered the check."""
    MISSED = "MISSED"
    """Nobody could run it at its time, and it was too late then."""
    OVERTAKEN = "OVERTAKEN"
    """The next one came before it was decided."""
    THINNED = "THINNED"
    """The reminder is hardly opened."""
    STOPPED = "STOPPED"
    """The reminder was paused."""
    UNREACHABLE = "UNREACHABLE"
    """The user had no address for the channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision with its reason. HELD ones are asked about again after `wait`."""

    decision: Decision
    reason: Reason
    answer: Answer | None = None
    error: str = ""
    wait: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An occurrence as it is kept. `through`: the last of several missed ones that it stands for."""

    tenant: str
    reminder: str
    at: datetime
    decision: Decision
    reason: Reason | None = None
    through: datetime | None = None
    answer: Answer | None = None
    error: str = ""
    notification: str = ""
    decided_at: datetime | None = None
    opened_at: datetime | None = None


def too_late() -> Verdict:
    """About what nobody could run in time."""
    return Verdict(decision=Decision.SKIPPED, reason=Reason.MISSED)


def judged(answer: Answer | None, otherwise: OnNoAnswer, *, hold: timedelta | None) -> Verdict:
    """What follows from an answer (None: nobody was to be asked). `hold` is how long it may be held before it is asked
    about again; None when it may no longer."""
    if answer is None:
        return Verdict(decision=Decision.SENT, reason=Reason.UNCHECKED)
    match answer.outcome:
        case CheckOutcome.TAKEN:
            return Verdict(decision=Decision.SKIPPED, reason=Reason.DONE, answer=answer)
        case CheckOutcome.NOT_TAKEN:
            return Verdict(decision=Decision.SENT, reason=Reason.NEEDED, answer=answer)
        case CheckOutcome.NO_ANSWER:
            pass
    if otherwise is OnNoAnswer.SEND:
        decision = Decision.SENT
    elif otherwise is OnNoAnswer.HOLD and hold is not None:
        decision = Decision.HELD
    else:
        decision = Decision.SKIPPED
    return Verdict(
        decision=decision,
        reason=Reason.UNANSWERED,
        answer=answer,
        error=answer.error,
        wait=hold if decision is Decision.HELD else None,
    )
