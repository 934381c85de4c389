"""A dead letter: a message that a service has given up, kept with its reason and its history."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """One failed attempt."""

    at: datetime
    error_type: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """What is known of one. `sequence` (from 1, growing) is its identity; `tenant` is empty for what belongs to none;
    `subject` is where it goes when it is sent back; `type` names the message in `payload`."""

    sequence: int
    service: str
    consumer: str
    subject: str
    type: str
    tenant: str = ""
    reason: str
    attempts: int
    history: tuple[FailedAttempt, ...] = ()
    first_seen: datetime
    dead_at: datetime
    payload: bytes = b""
