"""The ways to operators: the e-mail and webhook channels, with what operators are told."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from services.notification.application.claimed_delivery import EventMessage
from services.notification.application.ports.deliveries import Channel
from services.notification.domain.dead_letter import LetterAlert
from services.notification.domain.delivery import Endpoint, Outcome, Outgoing
from services.notification.domain.notification import ChannelName, Type

ALERT_TYPE = "tocsin.dead_letters"


@dataclass(frozen=True, slots=True)
class OperatorEmail:
    """An e-mail to one address. Its Message-ID is made of the alert's id."""

    channel: Channel
    address: str

    async def __call__(self, alert: LetterAlert) -> Outcome:
        """See Way."""
        message = Outgoing(
            id=alert.id,
            tenant="",
            user="operators",
            type=Type.ALERT,
            title=f"Tocsin: {alert.headline}",
            body=alert.text,
            data="",
            created_at=datetime.now(UTC),
        )
        return await self.channel.send(message, Endpoint("operators", ChannelName.EMAIL, self.address))


@dataclass(frozen=True, slots=True)
class OperatorWebhook:
    """A signed post to one URL; `webhook-id` is the alert's id."""

    channel: Channel
    url: str
    secret: str

    async def __call__(self, alert: LetterAlert) -> Outcome:
        """See Way."""
        message = EventMessage(id=alert.id, event_id=alert.id, type=ALERT_TYPE, body=_body(alert))
        return await self.channel.send(message, Endpoint("operators", ChannelName.WEBHOOK, self.url, self.secret))


def _body(alert: LetterAlert) -> str:
    """CloudEvents 1.0 JSON."""
    data = {
        "total": alert.total,
        "since": alert.since.isoformat(),
        "until": alert.until.isoformat(),
        "counts": [
            {"service": service, "consumer": consumer, "reasonClass": class_, "count": count}
            for service, consumer, class_, count in alert.counts
        ],
        "examples": [
            {"id": str(one.number), "service": one.service, "type": one.type, "reason": one.reason}
            for one in alert.examples
        ],
    }
    return json.dumps(
        {
            "specversion": "1.0",
            "id": alert.id,
            "type": ALERT_TYPE,
            "source": "tocsin/notification",
            "time": alert.until.isoformat(),
            "datacontenttype": "application/json",
            "data": data,
        },
        ensure_ascii=False,
    )
