"""A notification: what it says, to whom, and where its delivery stands."""

import enum
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.errors import ChannelNotConfigured, DataTooLarge, NoEndpoint

MAX_DATA_BYTES = 4096
KEYS_LAST = timedelta(hours=24)
"""An idempotency key is remembered for this long."""


class ChannelName(enum.StrEnum):
    """A way to a person or a system."""

    CONSOLE = "CONSOLE"
    EMAIL = "EMAIL"
    WEBHOOK = "WEBHOOK"
    FCM = "FCM"


PREFERENCE = (ChannelName.FCM, ChannelName.EMAIL, ChannelName.WEBHOOK)
"""The order in which a channel is chosen from a user's addresses when the caller names none."""


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
    """What a caller wants to be sent. `data` is JSON text of an object, empty for none. `urgent`: before all that
    waits."""

    tenant: str
    user: str
    type: Type
    title: str
    body: str = ""
    data: str = ""
    channel: ChannelName | None = None
    idempotency_key: str = ""
    urgent: bool = False

    def __post_init__(self) -> None:
        if (size := len(self.data.encode())) > MAX_DATA_BYTES:
            raise DataTooLarge(size, MAX_DATA_BYTES)

    def fingerprint(self) -> bytes:
        """Equal for equal content: what decides whether an idempotency key is used again or misused."""
        content = (self.tenant, self.user, self.type, self.title, self.body, self.data, self.channel or "")
        return hashlib.sha256(json.dumps(content).encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification as it is kept. Times are aware (UTC); `version` rises with every change."""

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
    version: int = 1


def choose_channel(
    wanted: ChannelName | None, *, user: str, reachable: Collection[ChannelName], configured: Collection[ChannelName]
) -> ChannelName:
    """The channel of a notification.

    `reachable` are the channels that the user has addresses for, `configured` those that the deployment has. Without
    a wish the first of FCM, e-mail and webhook that is both, else the console. Raises ChannelNotConfigured or
    NoEndpoint for a wish that cannot be met.
    """
    if wanted is None:
        return next((name for name in PREFERENCE if name in reachable and name in configured), ChannelName.CONSOLE)
    if wanted not in configured:
        raise ChannelNotConfigured(wanted)
    if wanted is not ChannelName.CONSOLE and wanted not in reachable:
        raise NoEndpoint(user, wanted)
    return wanted
