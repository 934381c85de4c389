"""A notification: what it says, to whom, and where its delivery stands."""

import enum
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.errors import DataTooLarge

MAX_DATA_BYTES = 4096
HISTORY_LIMIT = 20
"""Attempts that are remembered of a notification, or an event for a subscriber."""
KEYS_LAST = timedelta(hours=24)
"""An idempotency key is remembered for this long."""


class ChannelName(enum.StrEnum):
    """A way to a person or a system."""

    CONSOLE = "CONSOLE"
    EMAIL = "EMAIL"
    WEBHOOK = "WEBHOOK"
    FCM = "FCM"


class Type(enum.StrEnum):
    """What a notification is about."""

    ALERT = "ALERT"
    REMINDER = "REMINDER"
    INFO = "INFO"


class Status(enum.StrEnum):
    """Where the delivery stands."""

    PENDING = "PENDING"
    SENT = "SENT"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a caller wants to be sent. `data` is JSON text of an object, empty for none; `link` is where it leads.
    `urgent`: before all that waits."""

    tenant: str
    user: str
    type: Type
    title: str
    body: str = ""
    data: str = ""
    link: str = ""
    channel: ChannelName | None = None
    idempotency_key: str = ""
    urgent: bool = False

    def __post_init__(self) -> None:
        if (size := len(self.data.encode())) > MAX_DATA_BYTES:
            raise DataTooLarge(size, MAX_DATA_BYTES)

    def fingerprint(self) -> bytes:
        """Equal for equal content: what decides whether an idempotency key is used again or misused."""
        content = (self.tenant, self.user, self.type, self.title, self.body, self.data, self.channel or "")
        if self.link:  # earlier versions kept fingerprints without
            content = (*content, self.link)
        return hashlib.sha256(json.dumps(content).encode()).digest()


def error_text(code: str, message: str) -> str:
    """What failed, on one line: the code, and what was said, if anything was."""
    return (f"{code}: {message}" if message else code)[:500]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, for the history; `code` is empty for one that was sent. Of events only failures are kept, and where
    they went is known. `repeat`: the address may have had the message before, a process ended during an attempt."""

    at: datetime
    code: str
    message: str
    channel: ChannelName | None = None
    address: str = ""
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """An address that would be tried, masked, after a time; None: when what is before it has failed for good."""

    channel: ChannelName
    address: str
    after: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification as it is kept. Times are aware (UTC); `version` rises with every change.

    `channel` and `address` are the ones that reached the user; before that, the channel that is tried, and none.
    `history` has the latest attempts, oldest first; not in pages. `planned` is of those that are only imagined."""

    id: str
    tenant: str
    user: str
    type: Type
    title: str
    body: str
    data: str
    channel: ChannelName
    status: Status
    attempts: int
    error: str
    created_at: datetime
    next_attempt_at: datetime | None = None
    sent_at: datetime | None = None
    read_at: datetime | None = None
    opened_at: datetime | None = None
    delivered_at: datetime | None = None
    version: int = 1
    link: str = ""
    address: str = ""
    history: tuple[Attempt, ...] = ()
    planned: tuple[Planned, ...] = ()
