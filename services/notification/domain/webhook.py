"""Webhooks: who wants to be told about what, and the secrets that sign it."""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.notification.domain.delivery import Endpoint, Failure, FailureKind, UnknownOutcome
from services.notification.domain.notification import ChannelName

EVENT_TYPES = (
    "tocsin.events.v1.VideoProbed",
    "tocsin.events.v1.VideoProbeFailed",
    "tocsin.events.v1.WindowClosed",
    "tocsin.events.v1.AlarmRaised",
    "tocsin.events.v1.AlarmCleared",
    "tocsin.events.v1.DebtFileCompleted",
)
"""The public events, which may be subscribed to."""

SECRET_BYTES = 32

OVERLAP = timedelta(hours=24)
"""How long a rotated secret signs beside the new one, unless the caller says otherwise."""

CLOCK_TOLERANCE = timedelta(seconds=10)
"""Events from before a subscription are not for it; the broker's clock and the database's may differ by this much."""

GONE = "the receiver answered 410 Gone"
"""Why a subscription is disabled whose receiver wants no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A system's wish to be told about events. While a rotation overlaps, `former_secret` signs as well, until
    `former_secret_until`. `unknown_outcome` None: the deployment's. `version` rises with every change."""

    id: str
    url: str
    event_types: tuple[str, ...]
    created_at: datetime
    secret: str = field(default="", repr=False)
    enabled: bool = True
    disabled_reason: str = ""
    former_secret: str = field(default="", repr=False)
    former_secret_until: datetime | None = None
    unknown_outcome: UnknownOutcome | None = None
    version: int = 1

    def endpoint(self, now: datetime) -> Endpoint:
        """Where its events go."""
        point = Endpoint(
            self.id, ChannelName.WEBHOOK, self.url, self.secret, self.former_secret, self.former_secret_until
        )
        return point.at(now)


def disabled(why: str) -> Failure:
    """What becomes of an event for a subscription that is disabled, or gone."""
    return Failure(kind=FailureKind.PERMANENT, code="SUBSCRIPTION_DISABLED", message=why)


def new_secret() -> str:
    """A new signing secret in the form of Standard Webhooks: `whsec_` and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
