"""Attempts to deliver, their outcomes, and what follows from them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.notification.domain.notification import ChannelName, Type
from services.notification.domain.retry_schedule import RetrySchedule

HISTORY_LIMIT = 20
_HOPELESS = "!"
"""Marks addresses that can never be served, among those that were."""


class FailureKind(enum.StrEnum):
    """What a failure means for the next attempt. Decided by typed codes, never by the text of a message."""

    PERMANENT = "PERMANENT"
    """It will never work: no further attempt."""
    TRANSIENT = "TRANSIENT"
    """It may work later."""
    THROTTLED = "THROTTLED"
    """The receiver asks for fewer or later ones."""


class UnknownOutcome(enum.StrEnum):
    """What to do where nobody knows whether a receiver has taken a message: a process or a connection broke down
    after it had been handed over."""

    RESEND = "resend"
    """Send it again with the same id: it surely arrives, perhaps twice."""
    HOLD = "hold"
    """Leave it to a person, in the dead letters: it arrives at most once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt. `code` is for programs (`SMTP_550_5.1.1`, `FCM_UNREGISTERED`), `message` for people.

    `asked` is what the receiver asked to wait, `floor` the least that the provider's rules allow. `endpoint_gone`: the
    address is dead and must be forgotten. `unknown`: the receiver may have taken it all the same. `critical`: our own
    configuration is at fault, an operator must act.
    """

    kind: FailureKind
    code: str
    message: str
    asked: timedelta | None = None
    floor: timedelta | None = None
    endpoint_gone: bool = False
    unknown: bool = False
    critical: bool = False

    @property
    def text(self) -> str:
        """Code and message on one line."""
        return f"{self.code}: {self.message}"[:500]


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver took it; `detail` is what it said (a message id, a status line)."""

    detail: str = ""


Outcome = Sent | Failure


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a user, or a subscriber's. `secret` signs webhooks, `former_secret` as well while a rotation
    overlaps; both are empty for other channels."""

    id: str
    channel: ChannelName
    address: str
    secret: str = field(default="", repr=False)
    former_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A notification as a channel sends it; `id` is the same in every attempt, so that receivers can tell repeats."""

    id: str
    tenant: str
    user: str
    type: Type
    title: str
    body: str
    data: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt, for the history."""

    at: datetime
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What follows from an attempt: sent, tried again after `wait`, or given up (`wait` None and not `sent`).

    `done` are the addresses that have been served for good, over all attempts; `gone` those to forget. `reached`: this
    attempt may have reached somebody, so that it counts for the user's limit.
    """

    sent: bool
    reached: bool = False
    wait: timedelta | None = None
    failure: Failure | None = None
    done: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


def decide(
    outcomes: Mapping[str, Outcome],
    *,
    failures: int,
    done: frozenset[str],
    schedule: RetrySchedule,
    randomness: float = 0.0,
) -> Decision:
    """The decision after an attempt at all open addresses (`outcomes` by address id, not empty).

    `failures` counts this attempt if anything failed; `done` were served before. Only what failed is tried again, and
    only while it may still work. Who was reached at one address has been told: once nothing is left to try, it is SENT.
    """
    served = done | {id_ for id_, outcome in outcomes.items() if isinstance(outcome, Sent)}
    failed = {id_: outcome for id_, outcome in outcomes.items() if isinstance(outcome, Failure)}
    gone = frozenset(id_ for id_, failure in failed.items() if failure.endpoint_gone)
    reached = len(failed) < len(outcomes) or any(failure.unknown for failure in failed.values())
    if not failed:
        return Decision(sent=True, reached=True, done=served)
    retriable = [failure for failure in failed.values() if failure.kind is not FailureKind.PERMANENT]
    hopeless = frozenset(id_ for id_, failure in failed.items() if failure.kind is FailureKind.PERMANENT)
    worst = next(iter(failed.values()))
    if retriable:
        worst = retriable[0]
        wait = schedule.wait(
            failures,
            asked=max((f.asked for f in retriable if f.asked is not None), default=None),
            floor=max((f.floor for f in retriable if f.floor is not None), default=None),
            randomness=randomness,
        )
        if wait is not None:
            # What can never work is remembered with a mark: it is not tried again, and was not served either.
            done = served | _marked(hopeless)
            return Decision(sent=False, reached=reached, wait=wait, failure=worst, done=done, gone=gone)
    told = any(not id_.startswith(_HOPELESS) for id_ in served)
    return Decision(sent=told, reached=reached, failure=worst, done=served, gone=gone)


def _marked(ids: frozenset[str]) -> frozenset[str]:
    return frozenset(f"{_HOPELESS}{id_}" for id_ in ids)


def still_open(endpoints: list[Endpoint], done: frozenset[str]) -> list[Endpoint]:
    """The addresses that neither were served nor are hopeless."""
    return [point for point in endpoints if point.id not in done and f"{_HOPELESS}{point.id}" not in done]
