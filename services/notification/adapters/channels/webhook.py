"""The webhook channel: signed posts as Standard Webhooks says, of notifications to users and of events to systems."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from standardwebhooks import Webhook

from services.chassis.net_guard import AddressBlocked, NameUnresolved
from services.notification.adapters.channels.http import HttpClient, NotReached
from services.notification.application.claimed_delivery import EventMessage
from services.notification.domain.delivery import Endpoint, Failure, FailureKind, Outcome, Outgoing
from services.notification.domain.http_replies import classify_http
from services.notification.domain.retry_schedule import parse_retry_after


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookChannel:
    """Posts to the address of the endpoint, signed with its secret."""

    def __init__(self, client: HttpClient, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._client = client
        self._now = now

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt. `webhook-id` is the same in all attempts, the timestamp is the attempt's."""
        at = self._now().replace(microsecond=0)
        event = isinstance(message, EventMessage)
        body = message.body if event else notification_body(message)
        headers = {
            "content-type": "application/cloudevents+json; charset=utf-8" if event else "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": _signatures(endpoint, message.id, at, body),
        }
        try:
            answer = await self._client.post(endpoint.address, headers, body.encode())
        except AddressBlocked as error:
            return Failure(kind=FailureKind.PERMANENT, code="TARGET_BLOCKED", message=str(error))
        except NameUnresolved as error:
            return Failure(kind=FailureKind.TRANSIENT, code="NAME_UNRESOLVED", message=str(error), unanswered=True)
        except NotReached as error:
            # What may have been taken is known to the receiver by its webhook-id when it comes again.
            return Failure(
                kind=FailureKind.TRANSIENT,
                code=f"HTTP_{error.code}",
                message=str(error),
                unknown=error.unknown,
                unanswered=True,
            )
        return classify_http(answer.status, parse_retry_after(answer.headers.get("retry-after"), at))


def _signatures(endpoint: Endpoint, id_: str, at: datetime, body: str) -> str:
    """One for each secret that counts at the moment, the newest first."""
    secrets = filter(None, (endpoint.secret, endpoint.former_secret))
    return " ".join(Webhook(secret).sign(id_, at, body) for secret in secrets)


def notification_body(message: Outgoing) -> str:
    """A notification as the JSON that a user's webhook gets: type, timestamp and data."""
    return json.dumps(
        {
            "type": "tocsin.notification",
            "timestamp": message.created_at.isoformat().replace("+00:00", "Z"),
            "data": {
                "id": message.id,
                "tenant": message.tenant,
                "user": message.user,
                "type": message.type,
                "title": message.title,
                "body": message.body,
                "data": json.loads(message.data) if message.data else {},
                **({"link": message.link} if message.link else {}),
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
