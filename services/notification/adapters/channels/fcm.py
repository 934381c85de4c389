"""The Firebase Cloud Messaging channel (HTTP v1)."""

import json
from datetime import UTC, datetime
from typing import Any

from services.notification.adapters.channels.fcm_token import AccessTokens, ServiceAccount, TokenRefused
from services.notification.adapters.channels.http import Answer, HttpClient, NotReached
from services.notification.application.claimed_delivery import EventMessage
from services.notification.domain.delivery import Endpoint, Failure, FailureKind, Outcome, Outgoing, Sent
from services.notification.domain.fcm_errors import FCM_ERROR, OPERATOR_FLOOR, classify_fcm
from services.notification.domain.notification import Type
from services.notification.domain.retry_schedule import parse_retry_after

DEFAULT_BASE_URL = "https://fcm.googleapis.com"
_THIRD_PARTY = "THIRD_PARTY_AUTH_ERROR"
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class FcmChannel:
    """Pushes to registration tokens of one Firebase project."""

    def __init__(self, account: ServiceAccount, base_url: str, client: HttpClient) -> None:
        self._url = f"{base_url.rstrip('/')}/v1/projects/{account.project_id}/messages:send"
        self._client = client
        self._tokens = AccessTokens(account, client)

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt; a token that is refused is renewed once within it."""
        if isinstance(message, EventMessage):
            return Failure(kind=FailureKind.PERMANENT, code="NOT_FOR_FCM", message="events go to webhooks only")
        body = _to_json(payload(message, endpoint.address)).encode()
        refused = ""
        while True:
            try:
                token = await self._tokens.get(instead_of=refused)
                headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
                answer = await self._client.post(self._url, headers, body)
            except TokenRefused as error:
                return _no_token(error)
            except NotReached as error:
                return Failure(
                    kind=FailureKind.TRANSIENT, code=f"FCM_{error.code}", message=str(error), unknown=error.unknown
                )
            if answer.status == 200:
                return Sent(answer.body[:200].decode(errors="replace"))
            code, details = _error(answer)
            if answer.status == 401 and code != _THIRD_PARTY and not refused:
                refused = token
                continue
            asked = parse_retry_after(answer.headers.get("retry-after"), datetime.now(UTC))
            return classify_fcm(answer.status, code, details=details, retry_after=asked)


def payload(message: Outgoing, token: str) -> dict[str, Any]:
    """The request body. Data values are strings, as FCM demands; `id` lets the app tell a repeat."""
    data = {"id": message.id, "tenant": message.tenant, "type": message.type.value}
    if message.data:
        data["data"] = message.data
    return {
        "message": {
            "token": token,
            "notification": {"title": message.title, "body": message.body},
            "data": data,
            "android": {"priority": "HIGH" if message.type is Type.ALERT else "NORMAL"},
        }
    }


def _error(answer: Answer) -> tuple[str, list[str]]:
    """The FcmError code and the types of the details; empty for an answer of another shape."""
    try:
        details = json.loads(answer.body)["error"].get("details", [])
        types = [str(detail.get("@type", "")) for detail in details]
        codes = [str(detail.get("errorCode", "")) for detail in details if detail.get("@type") == FCM_ERROR]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", []
    return (codes[0] if codes else ""), types


def _no_token(error: TokenRefused) -> Failure:
    refused = 400 <= error.status < 500 and error.status != 429
    return Failure(
        kind=FailureKind.TRANSIENT,
        code=f"FCM_TOKEN_{error.status}",
        message=str(error),
        floor=OPERATOR_FLOOR if refused else None,
        critical=refused,
    )
